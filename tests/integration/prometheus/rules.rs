//! `deploy/prometheus`: rules that promtool accepts, and a test of each.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::harness::tools;

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

pub fn read(name: &str) -> String {
    fs::read_to_string(folder().join(name)).unwrap()
}

/// The names of all alerts.
pub fn alerts() -> BTreeSet<String> {
    values(&read("alerts.yml"), "- alert: ").map(str::to_owned).collect()
}

/// The rest of each line that begins with `key`.
fn values<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| line.trim_start().strip_prefix(key))
}

fn promtool(arguments: &[&str], file: &str) {
    let file = folder().join(file);
    tools::succeed("promtool", &[arguments, &[file.to_str().unwrap()]].concat());
}

#[test]
fn promtool_accepts_the_files() {
    promtool(&["check", "rules", "--lint=all", "--lint-fatal"], "alerts.yml");
    promtool(&["check", "config"], "scrape.yml");
}

#[test]
fn the_alerts_pass_their_tests() {
    promtool(&["test", "rules"], "alerts_test.yml");
}

/// Each case in alerts_test.yml begins with `eval_time`, and one that expects the alert goes on
/// with `exp_alerts`.
#[test]
fn every_alert_is_tested_both_ways() {
    let text = read("alerts_test.yml");
    let (mut fires, mut is_quiet) = (BTreeSet::new(), BTreeSet::new());
    for case in text.split("- eval_time: ").skip(1) {
        let name = values(case, "alertname: ").next().unwrap().to_owned();
        let expects = case.contains("exp_alerts:");
        if expects {
            fires.insert(name)
        } else {
            is_quiet.insert(name)
        };
    }
    assert_eq!(fires, alerts());
    assert_eq!(is_quiet, alerts());
}

/// What an operator sees at three in the morning.
#[test]
fn every_alert_says_how_bad_it_is_and_what_to_do() {
    let text = read("alerts.yml");
    for rule in text.split("- alert: ").skip(1) {
        let name = rule.lines().next().unwrap();
        let severity = values(rule, "severity: ").next();
        assert!(matches!(severity, Some("critical" | "warning")), "{name}: {severity:?}");
        for part in ["summary: ", "description: ", "{{ $labels.instance }}"] {
            assert!(rule.contains(part), "{name} lacks {part}");
        }
    }
}
