//! What is counted, and the transfers that those who watch see.

use std::fs;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Instant;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client, authorized};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::Tidegate;
use crate::harness::{DEADLINE, admin, basic};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "/v2/team/app/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
const BLOB: &str =
    "/v2/team/app/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The value of a series, which must exist.
fn value(tidegate: &Tidegate, series: &str) -> f64 {
    value_in(&admin::ask(tidegate, "GET /metrics", &[]).body, series)
}

fn value_in(exposition: &str, series: &str) -> f64 {
    let line = exposition.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in {exposition}")).parse().unwrap()
}

fn wait_for_value(tidegate: &Tidegate, series: &str, wanted: f64) {
    admin::wait_for(tidegate, "GET /metrics", |answer| {
        (value_in(&answer.body, series) - wanted).abs() < f64::EPSILON
    });
}

/// The only running transfer, once it has moved so many bytes.
fn transfer(tidegate: &Tidegate, bytes: u64) -> Value {
    let mut found = Value::Null;
    let cell = Mutex::new(&mut found);
    admin::wait_for(tidegate, "GET /api/status", |answer| {
        let status = answer.json();
        let transfers = status["transfers"].as_array().unwrap();
        assert_eq!(status["transfers_total"], transfers.len());
        let is_there = transfers.len() == 1 && transfers[0]["bytes"] == bytes;
        if is_there {
            **cell.lock().unwrap() = transfers[0].clone();
        }
        is_there
    });
    found
}

#[test]
fn the_bytes_of_a_push_are_counted_while_they_move_and_its_size_is_not_invented() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(admin::settings(&recorder.url()));
    let mut client = Client::connect(&tidegate);
    let agent = "User-Agent: docker/28 <b>";
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, agent, "Transfer-Encoding: chunked"]));
    client.send(b"3\r\nabc\r\n");
    let push = transfer(&tidegate, 3);
    for (key, wanted) in [
        ("direction", "push"),
        ("operation", "upload-chunk"),
        ("repository", "team/app"),
        ("reference", "0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c"),
        ("user", "testuser"),
        ("client", "127.0.0.1"),
        ("user_agent", "docker/28 <b>"),
    ] {
        assert_eq!(push[key], wanted, "{key}");
    }
    assert_eq!(push["size"], Value::Null);
    for (series, wanted) in [
        ("tidegate_received_bytes_total{operation=\"upload-chunk\"}", 3.0),
        ("tidegate_transfers{direction=\"push\"}", 1.0),
        ("tidegate_transfers{direction=\"pull\"}", 0.0),
        ("tidegate_requests_in_flight{operation=\"upload-chunk\"}", 1.0),
        ("tidegate_requests_total{operation=\"upload-chunk\",code=\"200\"}", 0.0),
    ] {
        assert_eq!(value(&tidegate, series), wanted, "{series}");
    }
    client.send(b"2\r\nde\r\n0\r\n\r\n");
    assert_eq!(client.response(false).unwrap().status, 200);
    wait_for_value(&tidegate, "tidegate_requests_in_flight{operation=\"upload-chunk\"}", 0.0);
    for (series, wanted) in [
        ("tidegate_received_bytes_total{operation=\"upload-chunk\"}", 5.0),
        ("tidegate_transfers{direction=\"push\"}", 0.0),
        ("tidegate_requests_total{operation=\"upload-chunk\",code=\"200\"}", 1.0),
        ("tidegate_request_duration_seconds_count{operation=\"upload-chunk\"}", 1.0),
        ("tidegate_first_byte_seconds_count{operation=\"upload-chunk\"}", 1.0),
        ("tidegate_cut_transfers_total{operation=\"upload-chunk\",by=\"client\"}", 0.0),
    ] {
        assert_eq!(value(&tidegate, series), wanted, "{series}");
    }
}

#[test]
fn a_push_that_says_its_length_and_a_pull_have_a_size() {
    let (send, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let registry = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if head[0].starts_with("GET /v2/team/app/blobs") {
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
                if gate.lock().unwrap().recv().is_err() {
                    return;
                }
                conversation.write(b" last");
            } else if head[0].starts_with("PUT") {
                conversation.read_some();
                return;
            } else {
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            }
        }
    });
    let tidegate = Tidegate::start(admin::settings(&registry.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    let pull = transfer(&tidegate, 5);
    assert_eq!((&pull["direction"], &pull["size"]), (&"pull".into(), &10.into()));
    // A HEAD moves no layer.
    assert_eq!(Client::connect(&tidegate).exchange("HEAD /v2/", &[AUTH]).status, 200);
    send.send(()).unwrap();
    assert_eq!(client.response(false).unwrap().text(), "first last");
    wait_for_value(&tidegate, "tidegate_transfers{direction=\"pull\"}", 0.0);
    assert_eq!(value(&tidegate, "tidegate_sent_bytes_total{operation=\"blob-get\"}"), 10.0);

    client.send(http1::head(&format!("PUT {UPLOAD}?digest=sha256:aa"), &[AUTH, "Content-Length: 12"]));
    client.send(b"first");
    // The registry hangs up, which ends the push.
    assert_eq!(client.response(false).unwrap().status, 502);
    wait_for_value(&tidegate, "tidegate_requests_total{operation=\"upload-finish\",code=\"502\"}", 1.0);
    admin::wait_for(&tidegate, "GET /api/status", |answer| {
        let status = answer.json();
        status["transfers_total"] == 0 && status["requests"]["server_errors"] == 1
    });
}

#[test]
fn who_cuts_a_transfer_is_counted() {
    let registry = Fake::scripted("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst", true);
    let tidegate = Tidegate::start(admin::settings(&registry.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    assert!(!client.exactly(1 << 10).1);
    wait_for_value(&tidegate, "tidegate_cut_transfers_total{operation=\"blob-get\",by=\"upstream\"}", 1.0);

    // A registry that answers early would end the request before its client does.
    let registry = Recorder::start();
    let tidegate = Tidegate::start(admin::settings(&registry.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Content-Length: 10"]));
    client.send(b"first");
    registry.wait_for("a part of the upload", |seen| seen.body == b"first");
    drop(client);
    wait_for_value(&tidegate, "tidegate_cut_transfers_total{operation=\"upload-chunk\",by=\"client\"}", 1.0);
}

#[test]
fn refusals_and_logins_are_counted_by_their_reason() {
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url())
        .set("policy.read_only", "true")
        .tables("[[access]]\nusers = ['testuser']\nrepositories = ['team/**']\nactions = ['pull', 'push']\n");
    let tidegate = Tidegate::start(settings);
    let ask = |line: &str, fields: &[&str]| Client::connect(&tidegate).exchange(line, fields).status;
    assert_eq!(ask("GET /v2/", &[]), 401);
    assert_eq!(ask("GET /v2/", &[&format!("Authorization: {}", basic("testuser", "wrong"))]), 401);
    assert_eq!(ask("GET /v2/other/tags/list", &[AUTH]), 403);
    assert_eq!(ask("POST /v2/team/app/blobs/uploads/", &[AUTH, "Content-Length: 0"]), 405);
    assert_eq!(ask("GET /nowhere", &[AUTH]), 404);
    assert_eq!(ask("GET /v2/", &[AUTH, "User-Agent: docker/1.3.0"]), 404);
    assert_eq!(ask("GET /v2/", &[AUTH]), 200);
    for (series, wanted) in [
        ("tidegate_refusals_total{reason=\"credentials\"}", 2.0),
        ("tidegate_refusals_total{reason=\"rule\"}", 1.0),
        ("tidegate_refusals_total{reason=\"read_only\"}", 1.0),
        ("tidegate_refusals_total{reason=\"malformed\"}", 1.0),
        ("tidegate_refusals_total{reason=\"agent\"}", 1.0),
        ("tidegate_logins_total{method=\"password\",source=\"htpasswd\",result=\"ok\"}", 3.0),
        ("tidegate_logins_total{method=\"password\",source=\"htpasswd\",result=\"wrong\"}", 1.0),
        ("tidegate_password_cache_hits_total", 2.0),
        ("tidegate_password_cache_misses_total", 2.0),
        ("tidegate_password_hash_seconds_count", 2.0),
        ("tidegate_htpasswd_users", 1.0),
    ] {
        assert_eq!(value(&tidegate, series), wanted, "{series}");
    }
    let status = admin::ask(&tidegate, "GET /api/status", &[]).json();
    let kinds: Vec<_> =
        status["refusals"].as_array().unwrap().iter().map(|one| one["kind"].clone()).collect();
    // The latest first, without the question that every session begins with.
    assert_eq!(kinds, ["agent", "malformed", "read_only", "rule", "credentials"]);
    assert_eq!(status["requests"]["refused"], 5);
    let login = &status["refusals"][4];
    assert_eq!((&login["user"], &login["status"]), (&"testuser".into(), &401.into()));
}

#[test]
fn repositories_are_counted_by_the_first_pattern_that_they_match_and_go_on_after_a_reload() {
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url()).set("metrics.repositories", "['team/**', '**/app']");
    let tidegate = Tidegate::start(settings);
    let ask = |line: &str| assert_eq!(Client::connect(&tidegate).exchange(line, &[AUTH]).status, 200);
    ask("GET /v2/team/app/tags/list");
    ask("GET /v2/other/app/tags/list");
    ask("DELETE /v2/else/manifests/v1");
    let series = |repository: &str, action: &str| {
        format!("tidegate_repository_requests_total{{repository=\"{repository}\",action=\"{action}\"}}")
    };
    let check = |expected: &[(&str, &str, f64)]| {
        for (repository, action, wanted) in expected {
            assert_eq!(value(&tidegate, &series(repository, action)), *wanted, "{repository} {action}");
        }
    };
    check(&[
        ("team/**", "pull", 1.0),
        ("**/app", "pull", 1.0),
        ("other", "delete", 1.0),
        ("other", "pull", 0.0),
    ]);

    let written = fs::read_to_string(tidegate.settings.file()).unwrap();
    fs::write(tidegate.settings.file(), written.replace("'team/**', '**/app'", "'new/**', 'team/**'"))
        .unwrap();
    tidegate.signal(Signal::HUP);
    wait_for_value(&tidegate, "tidegate_reloads_total{cause=\"signal\",result=\"success\"}", 1.0);
    ask("GET /v2/team/app/tags/list");
    check(&[("team/**", "pull", 2.0), ("new/**", "pull", 0.0), ("other", "delete", 1.0)]);
    assert!(!admin::ask(&tidegate, "GET /metrics", &[]).body.contains("**/app"));
}

#[test]
fn a_failed_reload_shows_until_one_succeeds() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(admin::settings(&recorder.url()));
    let written = fs::read_to_string(tidegate.settings.file()).unwrap();
    fs::write(tidegate.settings.file(), written.replace("[server]", "[servre]")).unwrap();
    tidegate.signal(Signal::HUP);
    wait_for_value(&tidegate, "tidegate_config_last_reload_successful", 0.0);
    let reload = admin::ask(&tidegate, "GET /api/status", &[]).json()["settings"]["last_reload"].clone();
    assert_eq!(reload["ok"], false);
    assert!(reload["error"].as_str().unwrap().contains("did you mean [server]"), "{reload}");
    fs::write(tidegate.settings.file(), written).unwrap();
    tidegate.signal(Signal::HUP);
    wait_for_value(&tidegate, "tidegate_config_last_reload_successful", 1.0);
}

#[test]
fn handshakes_and_connections_are_counted() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(admin::settings(&recorder.url()));
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
    let full = "tidegate_handshakes_total{version=\"1.3\",resumed=\"false\"}";
    let all = admin::ask(&tidegate, "GET /metrics", &[]).body;
    assert_eq!((value_in(&all, full), value_in(&all, "tidegate_connections")), (1.0, 1.0));
    let accepted = format!("tidegate_connections_accepted_total{{listener=\"{}\"}}", tidegate.address);
    assert_eq!(value_in(&all, &accepted), 1.0);
    drop(std::net::TcpStream::connect(tidegate.address).unwrap());
    wait_for_value(&tidegate, "tidegate_handshake_failures_total{reason=\"closed\"}", 1.0);
}

#[test]
fn a_busy_connection_has_its_password_computed_again_in_time() {
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url()).set("auth.cache_ttl", "\"1s\"");
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let (begun, mut requests, mut misses) = (Instant::now(), 0.0, 0.0);
    while misses < 3.0 {
        for _ in 0..100 {
            assert_eq!(client.exchange("GET /v2/team/app/manifests/1", &[AUTH]).status, 200);
            requests += 1.0;
        }
        misses = value(&tidegate, "tidegate_password_cache_misses_total");
        assert!(begun.elapsed() < DEADLINE, "{misses} computations in {requests} requests");
    }
    let hits = value(&tidegate, "tidegate_password_cache_hits_total");
    assert_eq!(hits + misses, requests, "each request counts as one or the other");
}
