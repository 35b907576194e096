//! The audit log: which request has which line, and that none is lost.

mod documented;
mod events;
mod writing;

use std::fs;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::tidegate::{Settings, Tidegate};

const KEYS: [&str; 24] = [
    "time",
    "seq",
    "node",
    "id",
    "event",
    "outcome",
    "user",
    "claimed",
    "authentication",
    "source",
    "certificate",
    "client",
    "peer",
    "user_agent",
    "repository",
    "tag",
    "digest",
    "from",
    "media_type",
    "bytes",
    "status",
    "rule",
    "reason",
    "duration_ms",
];

/// Settings with the audit log in `audit.log`.
fn audited(upstream: &str) -> Settings {
    Settings::for_upstream(upstream).set("log.audit", r#""audit.log""#)
}

/// The lines of a file, each with every key in its place.
fn lines(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'), "{text}");
    text.lines().map(parsed).collect()
}

fn parsed(line: &str) -> Value {
    let value: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"));
    let places: Vec<usize> = KEYS.iter().map(|key| line.find(&format!("\"{key}\":")).unwrap()).collect();
    assert!(places.is_sorted() && value.as_object().unwrap().len() == KEYS.len(), "{line}");
    value
}

/// Stops tidegate, and returns all lines of its audit log, which are numbered without a gap.
fn ended(tidegate: &mut Tidegate) -> Vec<Value> {
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    let lines = lines(&tidegate.settings.path().join("audit.log"));
    for (line, number) in lines.iter().zip(1..) {
        assert_eq!(line["seq"], number, "{line}");
    }
    lines
}

/// A line in few words: event, outcome, who, what, and the status.
fn short(line: &Value) -> String {
    let words = ["event", "outcome", "user", "claimed", "repository", "tag", "status"];
    let shown = words.iter().filter(|key| !line[key].is_null());
    let shown: Vec<String> =
        shown.map(|key| line[key].as_str().map_or_else(|| line[key].to_string(), str::to_owned)).collect();
    shown.join(" ")
}

fn shortened(lines: &[Value]) -> Vec<String> {
    lines.iter().map(short).collect()
}
