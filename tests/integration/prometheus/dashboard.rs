//! `deploy/grafana`: every expression has data, at a tidegate without traffic too.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use regex::Regex;
use serde_json::Value;

use super::exposition::{families, text};
use super::rules;
use crate::harness::admin;
use crate::harness::http1::{Client, authorized};
use crate::harness::image::{noise, push_tiny, sha256, upload};
use crate::harness::prometheus::Prometheus;
use crate::harness::registry::Registry;
use crate::harness::tidegate::Tidegate;

fn dashboard() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana/tidegate.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

/// The expressions of all panels and annotations.
fn expressions(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let annotations = dashboard["annotations"]["list"].as_array().unwrap();
    let found = targets.chain(annotations).filter_map(|place| place["expr"].as_str());
    found.map(str::to_owned).collect()
}

/// An expression as Grafana sends it when everything is chosen.
fn chosen(expression: &str) -> String {
    let mut text = expression.to_owned();
    for (variable, value) in
        [("$__rate_interval", "5s"), ("$__range", "1m"), ("$job", "tidegate"), ("$instance", ".*")]
    {
        text = text.replace(variable, value);
    }
    assert!(!text.contains('$'), "{text}");
    text
}

/// The names of metrics in a text.
fn mentioned(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\b(?:tidegate|process)_[a-z_]+\b").unwrap();
    let parts = ["_bucket", "_sum", "_count"];
    let family =
        |name: &str| parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name).to_owned();
    name.find_iter(text).map(|found| family(found.as_str())).collect()
}

#[test]
fn every_metric_of_the_dashboard_and_of_the_alerts_exists() {
    let tidegate = Tidegate::start(admin::settings("http://127.0.0.1:1"));
    let families = families(&text(&tidegate));
    let dashboard = dashboard();
    let mut wanted = mentioned(&expressions(&dashboard).join("\n"));
    assert!(wanted.len() > 40, "{wanted:?}");
    wanted.extend(mentioned(&rules::read("alerts.yml")));
    wanted.extend(mentioned(&rules::read("alerts_test.yml")));
    wanted.extend(mentioned(&dashboard["templating"].to_string()));
    let unknown: Vec<_> = wanted.iter().filter(|name| !families.contains_key(*name)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// The expressions of which nothing would be shown.
fn empty(prometheus: &Prometheus, counts_nan: bool) -> Vec<String> {
    let expressions = expressions(&dashboard());
    assert!(expressions.len() > 50, "{expressions:?}");
    let is_shown = |value: f64| counts_nan || !value.is_nan();
    let is_empty = |expression: &&String| {
        !prometheus.query(&chosen(expression)).iter().any(|sample| is_shown(sample.value))
    };
    expressions.iter().filter(is_empty).cloned().collect()
}

#[test]
fn no_panel_is_empty_at_a_new_tidegate() {
    let registry = Registry::start();
    let tidegate = Tidegate::start(admin::settings(&registry.url()));
    let prometheus = Prometheus::start(admin::address(&tidegate), "groups: []");
    prometheus.wait_for("sum_over_time(up[1m])", |up| up.first().is_some_and(|up| up.value > 3.0));
    // Without a request there is no quantile, and Grafana shows a panel without a line.
    assert_eq!(empty(&prometheus, true), Vec::<String>::new());
}

#[test]
fn every_panel_shows_a_number_after_a_push_and_a_pull() {
    let registry = Registry::start();
    let settings = admin::settings(&registry.url()).set("metrics.repositories", r#"["team/**"]"#);
    let tidegate = Tidegate::start(settings);
    let prometheus = Prometheus::start(admin::address(&tidegate), "groups: []");
    prometheus.wait_for("sum_over_time(up[1m])", |up| up.first().is_some_and(|up| up.value > 3.0));
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[]).status, 401);
    let layer = noise(1 << 20);
    upload(&mut client, &authorized(), "team/app", &layer);
    push_tiny(&mut client, &authorized(), "team/app", "latest");
    let line = format!("GET /v2/team/app/blobs/sha256:{}", sha256(&layer));
    assert_eq!(client.exchange(&line, &[&authorized()]).body, layer);
    let pulled = format!(r#"sum(tidegate_sent_bytes_total{{operation="blob-get"}}) >= {}"#, layer.len());
    prometheus.wait_for(&pulled, |series| !series.is_empty());
    assert_eq!(empty(&prometheus, false), Vec::<String>::new());
}

/// What the lists at the top of the dashboard offer.
#[test]
fn the_variables_have_values() {
    let tidegate = Tidegate::start(admin::settings("http://127.0.0.1:1"));
    let address = admin::address(&tidegate);
    let prometheus = Prometheus::start(address, "groups: []");
    prometheus.wait_for("up", |up| !up.is_empty());
    let query = Regex::new(r"^label_values\((.*), ([a-z]+)\)$").unwrap();
    let expected = [("job", "tidegate".to_owned()), ("instance", address.to_string())];
    for (name, value) in expected {
        let dashboard = dashboard();
        let variables = dashboard["templating"]["list"].as_array().unwrap();
        let variable = variables.iter().find(|variable| variable["name"] == name).unwrap();
        let found = query.captures(variable["definition"].as_str().unwrap()).unwrap();
        assert_eq!(variable["query"]["query"], variable["definition"]);
        let series = prometheus.query(&chosen(&found[1]));
        assert_eq!(series[0].labels[&found[2]], value);
    }
}

#[test]
fn panels_do_not_overlap_and_have_titles_and_units() {
    let dashboard = dashboard();
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{title} is too wide");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(cells.insert((x, y)), "{title} lies on another panel");
            }
        }
        if !["row", "table", "heatmap"].contains(&panel["type"].as_str().unwrap()) {
            assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        }
    }
}
