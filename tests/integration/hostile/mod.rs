//! Hostile and odd requests, one record each, sent over TLS to a tidegate in front of the strict
//! recorder.
//!
//! `tests/data/requests.json` holds the records, `cases` has a test for each, and `verdict` judges.

mod cases;
mod observe;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};

use serde::Deserialize;

use crate::prometheus::exposition;
use observe::Stage;

/// One record of `tests/data/requests.json`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub id: String,
    pub family: String,
    pub proto: Proto,
    pub method: String,
    /// The bytes to send after the TLS handshake, each as a Latin-1 character.
    pub raw: String,
    pub expect: Expect,
    pub why: String,
    /// What a careful proxy does where the record allows two outcomes; not checked.
    #[serde(default, rename = "best")]
    _best: Option<String>,
    /// The maximum number of complete requests at the registry when the request is accepted.
    #[serde(default = "one")]
    pub max_upstream: usize,
    #[serde(default)]
    pub phase: Phase,
    /// The only statuses accepted as a refusal.
    pub status: Option<Vec<u16>>,
    /// Fields, as name or name=value, that must not reach the registry.
    #[serde(default)]
    pub absent: Vec<String>,
    /// Fields that must reach it, exactly once.
    #[serde(default)]
    pub value: BTreeMap<String, String>,
    /// Fields whose last list element must reach it as given.
    #[serde(default)]
    pub last: BTreeMap<String, String>,
    /// The connection must end after the answer.
    #[serde(default)]
    pub close: bool,
    /// No 100 Continue may come.
    #[serde(default)]
    pub no100: bool,
    /// Whether the record contains the valid password.
    #[serde(default = "yes")]
    pub auth: bool,
    /// The client itself closes the connection here.
    #[serde(default)]
    pub eof: bool,
    /// Passes if nothing reached the registry, whatever the answer.
    #[serde(default)]
    pub upstream_only: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Proto {
    H1,
    H2,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    Ok,
    Reject,
    RejectOrNormalise,
}

/// Where the fault is. This decides what may have reached the registry when the request is refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    #[default]
    Head,
    /// A truncated request may reach the registry.
    Body,
}

fn one() -> usize {
    1
}

fn yes() -> bool {
    true
}

static RECORDS: LazyLock<Vec<Record>> = LazyLock::new(|| {
    let text = include_str!("../../data/requests.json");
    serde_json::from_str(text).expect("tests/data/requests.json holds records")
});

/// Stages that wait for their next record. They live as long as the process.
static STAGES: Mutex<Vec<Stage>> = Mutex::new(Vec::new());

/// Runs one record and panics if it was not withstood.
fn run(id: &str) {
    let record = RECORDS.iter().find(|record| record.id == id).expect("a record of that id");
    let stage = STAGES.lock().unwrap().pop();
    let stage = stage.unwrap_or_else(Stage::start);
    let outcome = stage.play(record);
    if !outcome.unsettled {
        STAGES.lock().unwrap().push(stage);
    }
    if let Err(fault) = verdict::judge(record, &outcome) {
        panic!("{} {id}: {fault}\n{}\n{outcome:#?}", record.family, record.why);
    }
}

#[test]
fn every_record_has_its_test() {
    let records: BTreeSet<&str> = RECORDS.iter().map(|record| record.id.as_str()).collect();
    let cases: BTreeSet<&str> = cases::IDS.iter().copied().collect();
    assert_eq!(records.len(), RECORDS.len(), "requests.json has an id twice");
    assert_eq!(cases.len(), cases::IDS.len(), "cases.rs has an id twice");
    assert_eq!(records, cases);
}

/// Nor does a record add a series to the metrics.
#[test]
fn every_record_passes_while_four_run_at_once() {
    let queue = Mutex::new(RECORDS.iter());
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let stage = Stage::start();
                let series = exposition::series(&stage.tidegate);
                let next = || queue.lock().unwrap().next();
                while let Some(record) = next() {
                    let outcome = stage.play(record);
                    if let Err(fault) = verdict::judge(record, &outcome) {
                        failures.lock().unwrap().push(format!("{}: {fault}", record.id));
                    }
                }
                let after = exposition::series(&stage.tidegate);
                assert_eq!(after.symmetric_difference(&series).collect::<Vec<_>>(), Vec::<&String>::new());
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{} records failed:\n{}", failures.len(), failures.join("\n"));
}
