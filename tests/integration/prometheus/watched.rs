//! A tidegate that a real Prometheus watches with the rules of `deploy/prometheus`, sped up.

use std::collections::BTreeSet;

use regex::{Captures, Regex};

use super::rules;
use crate::harness::admin;
use crate::harness::prometheus::{Alert, Prometheus};
use crate::harness::tidegate::{Settings, Tidegate};

pub struct Watched {
    pub tidegate: Tidegate,
    pub prometheus: Prometheus,
}

const SCRAPES: &str = "sum(sum_over_time(up[1h]))";

impl Watched {
    /// Starts both, and waits until every rule has been evaluated for a tidegate that is well.
    pub fn start(settings: Settings) -> Watched {
        let tidegate = Tidegate::start(settings);
        let rules = sped_up(&rules::read("alerts.yml"));
        let prometheus = Prometheus::start(admin::address(&tidegate), &rules);
        let watched = Watched { tidegate, prometheus };
        watched.wait_for_scrapes(3);
        watched
    }

    /// Waits for this many more scrapes, each of which succeeds.
    pub fn wait_for_scrapes(&self, count: usize) {
        let wanted = self.scrapes() + count as f64;
        self.prometheus.wait_for(SCRAPES, |now| now.first().is_some_and(|now| now.value >= wanted));
    }

    /// The number of scrapes that have succeeded.
    pub fn scrapes(&self) -> f64 {
        self.prometheus.query(SCRAPES).first().map_or(0.0, |sample| sample.value)
    }

    /// Waits for an alert of this name.
    pub fn wait_for_alert(&self, name: &str) -> Alert {
        self.prometheus.wait_for_alert(name, |alert| alert.name() == name)
    }

    /// Fails if another alert has fired.
    pub fn assert_fired(&self, names: &[&str]) {
        let names: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(self.prometheus.fired(), names);
    }
}

/// The rules with their ranges and their `for` divided by 100, so that five minutes become three
/// seconds. Hours are divided by 7200: six hours become three seconds too. Everything else stays,
/// above all the thresholds.
pub fn sped_up(rules: &str) -> String {
    let duration = Regex::new(r"(\[|for: )(\d+)([smh])").unwrap();
    let faster = |found: &Captures<'_>| {
        let (before, number) = (&found[1], found[2].parse::<u64>().unwrap());
        let milliseconds = match &found[3] {
            "s" => number * 1000 / 100,
            "m" => number * 60_000 / 100,
            _ => number * 3_600_000 / 7200,
        };
        format!("{before}{milliseconds}ms")
    };
    duration.replace_all(rules, faster).into_owned()
}

#[test]
fn a_day_of_rules_takes_seconds() {
    let rules = "expr: a[5m] > 14 * 86400\nfor: 6h\nfor: 15s\nsummary: moved nothing for 5 minutes";
    let faster =
        "expr: a[3000ms] > 14 * 86400\nfor: 3000ms\nfor: 150ms\nsummary: moved nothing for 5 minutes";
    assert_eq!(sped_up(rules), faster);
}
