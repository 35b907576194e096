//! What /metrics shows, as its readers see it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::harness::admin;
use crate::harness::child;
use crate::harness::tidegate::Tidegate;

/// What Prometheus 2.42 sends as `Accept`.
pub const PROMETHEUS: &str = "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";

/// The type of the text format.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A family of the text format.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Family {
    pub kind: String,
    pub help: String,
    /// The names of its labels, without `le`.
    pub labels: BTreeSet<String>,
    /// Its series, each as it is written.
    pub series: BTreeSet<String>,
}

pub type Families = BTreeMap<String, Family>;

/// The text format 0.0.4, once the registry has been checked.
pub fn text(tidegate: &Tidegate) -> String {
    admin::wait_for(tidegate, "GET /metrics", |answer| answer.body.contains("\ntidegate_upstream_up{"));
    scrape(tidegate, "Accept: text/plain;version=0.0.4", TEXT)
}

/// OpenMetrics 1.0.
pub fn open_metrics(tidegate: &Tidegate) -> String {
    scrape(tidegate, PROMETHEUS, "application/openmetrics-text; version=1.0.0; charset=utf-8")
}

fn scrape(tidegate: &Tidegate, accept: &str, media_type: &str) -> String {
    let answer = admin::ask(tidegate, "GET /metrics", &[accept]);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.all("content-type"), [media_type]);
    answer.body
}

/// All series, each with its labels.
pub fn series(tidegate: &Tidegate) -> BTreeSet<String> {
    families(&text(tidegate)).into_values().flat_map(|family| family.series).collect()
}

/// The families in the text format.
pub fn families(text: &str) -> Families {
    let mut families = Families::new();
    let mut name = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let help;
            (name, help) = rest.split_once(' ').unwrap();
            families.entry(name.to_owned()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let kind;
            (name, kind) = rest.split_once(' ').unwrap();
            families.entry(name.to_owned()).or_default().kind = kind.to_owned();
        } else if !line.is_empty() {
            let family = families.get_mut(name).unwrap_or_else(|| panic!("{line} belongs to no family"));
            let (series, _) = line.rsplit_once(' ').unwrap();
            assert!(series.starts_with(name), "{line} is among {name}");
            assert!(family.series.insert(series.to_owned()), "{series} is there twice");
            family.labels.extend(labels(series).filter(|label| *label != "le").map(str::to_owned));
        }
    }
    families
}

fn labels(series: &str) -> impl Iterator<Item = &str> {
    let all = series.split_once('{').map_or("", |(_, rest)| rest.strip_suffix('}').unwrap());
    // No value of ours has a quote.
    all.split('"').step_by(2).map(|name| name.trim_matches([',', '='])).filter(|name| !name.is_empty())
}

/// Runs a program that reads `input`, and returns its output. It must be content.
pub fn fed(mut command: Command, input: &str) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let name = format!("{command:?}");
    let mut child = child::spawn(command).unwrap_or_else(|error| panic!("{name}: {error}; see tests/run.sh"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let feeder = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    let (said, faults) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name}: {said}{faults}");
    assert_eq!(faults, "", "{name}");
    said.into_owned()
}
