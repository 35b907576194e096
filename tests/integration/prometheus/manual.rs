//! `docs/metrics.md` lists what /metrics shows, and the alerts that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::exposition::{families, text};
use super::rules;
use crate::harness::admin;
use crate::harness::tidegate::Tidegate;

/// The cells of the rows of all tables.
fn rows() -> Vec<Vec<String>> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md")).unwrap();
    let rows = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().to_owned()).collect()).collect()
}

fn words(cell: &str) -> BTreeSet<String> {
    cell.split(", ").map(|word| word.trim_matches('`').to_owned()).filter(|word| !word.is_empty()).collect()
}

#[test]
fn every_metric_is_explained_and_every_explained_one_exists() {
    let tidegate = Tidegate::start(admin::settings("http://127.0.0.1:1"));
    let shown: BTreeMap<_, _> = families(&text(&tidegate))
        .into_iter()
        .map(|(name, family)| (name, (family.kind, family.labels)))
        .collect();
    let mut explained = BTreeMap::new();
    for row in rows().iter().filter(|row| row.len() == 4) {
        let name = row[0].trim_matches('`').to_owned();
        if name.starts_with("tidegate_") || name.starts_with("process_") {
            assert!(!row[3].is_empty(), "{name} has no meaning");
            explained.insert(name, (row[1].clone(), words(&row[2])));
        }
    }
    let difference = |one: &BTreeMap<_, _>, other: &BTreeMap<String, _>| {
        one.iter()
            .filter(|(name, facts)| other.get(*name) != Some(*facts))
            .map(|(name, facts)| format!("{name}: {facts:?}"))
            .collect::<Vec<_>>()
    };
    assert_eq!(difference(&explained, &shown), difference(&shown, &explained));
}

#[test]
fn every_alert_is_explained() {
    let table = rows();
    let alerts = rules::alerts();
    let is_alert = |row: &&Vec<String>| row[1].contains("warning") || row[1].contains("critical");
    let explained: BTreeSet<String> = table.iter().filter(is_alert).map(|row| row[0].clone()).collect();
    assert_eq!(explained, alerts);
}
