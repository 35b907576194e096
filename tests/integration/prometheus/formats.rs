//! Readers of both formats accept /metrics.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use super::exposition::{TEXT, families, fed, open_metrics, text};
use crate::harness::admin;
use crate::harness::fake::Fake;
use crate::harness::http1::{Client, authorized};
use crate::harness::prometheus::Prometheus;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::Tidegate;

/// A tidegate that has done something.
fn start() -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(admin::settings(&recorder.url()));
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
    (recorder, tidegate)
}

#[test]
fn promtool_has_nothing_to_say_about_the_text() {
    let (_recorder, tidegate) = start();
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    assert_eq!(fed(promtool, &text(&tidegate)), "");
}

/// A family as the parser of prometheus-client reads it.
#[derive(Debug, Deserialize)]
struct Parsed {
    r#type: String,
    help: String,
    samples: usize,
}

fn parse(open_metrics: &str) -> BTreeMap<String, Parsed> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3");
    python.arg(repository.join("tests/prometheus/openmetrics.py"));
    python.env("PYTHONPATH", repository.join("target/python"));
    serde_json::from_str(&fed(python, open_metrics)).unwrap()
}

#[test]
fn the_strict_parser_of_open_metrics_reads_the_same_as_the_text_says() {
    let (_recorder, tidegate) = start();
    let parsed = parse(&open_metrics(&tidegate));
    let families = families(&text(&tidegate));
    assert_eq!(parsed.len(), families.len());
    for (name, family) in families {
        let parsed = &parsed[name.strip_suffix("_total").unwrap_or(&name)];
        assert_eq!(parsed.r#type, family.kind, "{name}");
        assert_eq!(parsed.samples, family.series.len(), "{name}");
        // In OpenMetrics the library ends each help with a full stop.
        assert_eq!(parsed.help.trim_end_matches('.'), family.help.trim_end_matches('.'), "{name}");
    }
}

/// Scrapes `target`, which must show as many samples as `text` has.
fn scrape(target: SocketAddr, text: &str) {
    let prometheus = Prometheus::start(target, "groups: []");
    let up = prometheus.wait_for("up", |up| !up.is_empty());
    let targets = prometheus.get("/api/v1/targets");
    assert_eq!(targets["data"]["activeTargets"][0]["lastError"], "", "{targets}");
    assert_eq!(up[0].value, 1.0);
    let series: usize = families(text).values().map(|family| family.series.len()).sum();
    assert_eq!(prometheus.query("scrape_samples_scraped")[0].value, series as f64);
}

#[test]
fn prometheus_scrapes_open_metrics() {
    let (_recorder, tidegate) = start();
    let text = text(&tidegate);
    scrape(admin::address(&tidegate), &text);
}

/// Prometheus 2.42 cannot be told to ask for the text, so it gets a copy from another server.
#[test]
fn prometheus_scrapes_the_text() {
    let (_recorder, tidegate) = start();
    let text = text(&tidegate);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {TEXT}\r\nContent-Length: {}\r\n\r\n", text.len());
    let fake = Fake::scripted(head + &text, false);
    scrape(fake.address, &text);
}
