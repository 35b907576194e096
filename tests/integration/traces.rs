//! What joins the access log with other logs: `X-Request-Id` and `traceparent`.

use serde_json::Value;

use crate::harness::fake::{Fake, refusing};
use crate::harness::http1::Client;
use crate::harness::http2;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// The log line of the request with the user agent `agent`.
fn line(tidegate: &Tidegate, agent: &str) -> Value {
    let line = tidegate.access.wait_for(agent, |line| line.contains(agent));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
}

fn trusting(recorder: &Recorder, networks: &str) -> Tidegate {
    Tidegate::start(Settings::for_upstream(&recorder.url()).set("server.trusted_proxies", networks))
}

fn is_own(id: &str) -> bool {
    regex::Regex::new("^[0-9a-f]{8}-(0|[1-9a-f][0-9a-f]*)$").unwrap().is_match(id)
}

#[test]
fn the_registry_gets_the_id_of_the_line() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let mut first = Client::connect(&tidegate);
    let mut second = http2::Client::connect(&tidegate);
    let mut ids = Vec::new();
    for number in 0..20 {
        let agent = format!("User-Agent: agent/{number}.");
        let fields = [AUTH, agent.as_str(), "X-Request-Id: forged", "X-Request-Id: twice"];
        if number % 2 == 0 {
            first.exchange("GET /v2/", &fields);
        } else {
            second.exchange(http2::request("GET", "localhost", "/v2/", &fields));
        }
        let line = line(&tidegate, &agent["User-Agent: ".len()..]);
        let id = line["id"].as_str().unwrap().to_owned();
        assert!(is_own(&id), "{id}");
        let seen = recorder.wait_for("the request", |seen| seen.all("User-Agent") == [&agent[12..]]);
        assert_eq!(seen.all("X-Request-Id"), [&id]);
        ids.push(id);
    }
    let prefix = ids[0][..9].to_owned();
    assert!(ids.iter().all(|id| id.starts_with(&prefix)), "{ids:?}");
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 20);

    let another = Tidegate::start(Settings::for_upstream(&recorder.url()));
    Client::connect(&another).exchange("GET /v2/", &[AUTH, "User-Agent: other/1"]);
    assert!(!line(&another, "other/1")["id"].as_str().unwrap().starts_with(&prefix));
}

#[test]
fn the_id_of_a_trusted_proxy_is_taken_over() {
    let recorder = Recorder::start();
    let tidegate = trusting(&recorder, r#"["127.0.0.0/8"]"#);
    let (longest, too_long) = ("x".repeat(128), "x".repeat(129));
    for (number, sent, expected) in [
        (1, vec!["f7f0b6a0-5a3f-4f0e-9d4b-5d3f1c2b4a69"], true),
        (2, vec!["Root=1-67891233;\"quoted\"\\<b>//u:p@h"], true),
        (3, vec![longest.as_str()], true),
        (4, vec![too_long.as_str()], false),
        (5, vec!["a b"], false),
        (6, vec![""], false),
        (7, vec!["\u{e9}"], false),
        (8, vec!["a", "a"], false),
        (9, vec![], false),
    ] {
        let agent = format!("agent/{number}.");
        let mut fields = vec![AUTH.to_owned(), format!("User-Agent: {agent}")];
        fields.extend(sent.iter().map(|id| format!("X-Request-Id: {id}")));
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &fields).status, 200);
        let line = line(&tidegate, &agent);
        let id = line["id"].as_str().unwrap();
        let seen = recorder.wait_for("the request", |seen| seen.all("User-Agent") == [&agent]);
        assert_eq!(seen.all("X-Request-Id"), [id]);
        if expected {
            assert_eq!(id, sent[0]);
        } else {
            assert!(is_own(id), "{id} for {sent:?}");
        }
    }
}

#[test]
fn the_id_of_a_client_that_is_not_a_trusted_proxy_is_not() {
    let recorder = Recorder::start();
    let tidegate = trusting(&recorder, r#"["10.0.0.0/8"]"#);
    let fields = [AUTH, "User-Agent: a/1", "X-Request-Id: forged", "X-Forwarded-For: 10.0.0.1"];
    Client::connect(&tidegate).exchange("GET /v2/", &fields);
    let line = line(&tidegate, "a/1");
    assert!(is_own(line["id"].as_str().unwrap()), "{line}");
    let seen = recorder.wait_for("the request", |_| true);
    assert_eq!(seen.all("X-Request-Id"), [line["id"].as_str().unwrap()]);
}

#[test]
fn questions_about_a_request_have_its_id() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("policy.immutable_tags", r#"["**:v*"]"#);
    let tidegate = Tidegate::start(settings);
    let fields = [AUTH, "User-Agent: a/1", "Content-Length: 2"];
    let mut client = Client::connect(&tidegate);
    client.send(crate::harness::http1::head("PUT /v2/a/manifests/v1", &fields));
    client.send(b"{}");
    client.response(false).unwrap();
    let line = line(&tidegate, "a/1");
    let requests = recorder.record().requests;
    assert!(requests.iter().any(|seen| seen.head.method != "PUT"), "{requests:?}");
    for seen in &requests {
        assert_eq!(seen.all("X-Request-Id"), [line["id"].as_str().unwrap()], "{seen:?}");
    }
}

#[test]
fn an_error_tells_the_client_its_id() {
    let own = "HTTP/1.1 404 Not Found\r\nX-Request-Id: of-the-registry\r\nContent-Length: 0\r\n\r\n";
    let fine = own.replace("404 Not Found", "200 OK");
    for (url, request, fields, status) in [
        (refusing(), "GET /v2/", vec![AUTH], 502),
        (refusing(), "GET /v2/", vec![], 401),
        (refusing(), "GET /v2/", vec![AUTH, "Host: a", "Host: b"], 400),
        (refusing(), "HEAD /nothing", vec![AUTH], 404),
    ] {
        let tidegate = Tidegate::start(Settings::for_upstream(&url));
        let fields: Vec<&str> = [vec!["User-Agent: a/1"], fields].concat();
        let response = Client::connect(&tidegate).exchange(request, &fields);
        assert_eq!(response.status, status);
        assert_eq!(response.all("X-Request-Id"), [line(&tidegate, "a/1")["id"].as_str().unwrap()]);
    }
    let registry = Fake::scripted(own, false);
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let response = Client::connect(&tidegate).exchange("GET /v2/a/tags/list", &[AUTH, "User-Agent: a/1"]);
    assert_eq!(response.all("X-Request-Id"), [line(&tidegate, "a/1")["id"].as_str().unwrap()]);
    let registry = Fake::scripted(fine, false);
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let response = Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]);
    assert_eq!(response.all("X-Request-Id"), ["of-the-registry"], "what is no error passes untouched");
}

#[test]
fn a_trace_passes_untouched_and_is_logged_if_it_is_valid() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let valid = format!("00-{TRACE}-b7ad6b7169203331-01");
    let later = format!("cc-{TRACE}-b7ad6b7169203331-01-what-comes-later");
    let upper = valid.to_uppercase();
    let zero = format!("00-{}-b7ad6b7169203331-01", "0".repeat(32));
    for (number, parents, states, expected) in [
        (1, vec![valid.as_str()], vec!["congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"], Some(TRACE)),
        (2, vec![&later], vec![], Some(TRACE)),
        (3, vec![&upper], vec!["A=1", "a=2 ,, b"], None),
        (4, vec![&zero], vec![], None),
        (5, vec![&valid, &valid], vec!["x"], None),
        (6, vec!["garbage \"{}<b>"], vec!["garbage"], None),
        (7, vec![""], vec![""], None),
        (8, vec![], vec!["a=1"], None),
    ] {
        let agent = format!("agent/{number}.");
        let mut fields = vec![AUTH.to_owned(), format!("User-Agent: {agent}")];
        fields.extend(parents.iter().map(|parent| format!("traceparent: {parent}")));
        fields.extend(states.iter().map(|state| format!("tracestate: {state}")));
        let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
        for second in [false, true] {
            let agent = if second {
                let fields: Vec<_> = fields.iter().map(|field| field.replace("agent/", "second/")).collect();
                let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
                let mut client = http2::Client::connect(&tidegate);
                client.exchange(http2::request("GET", "localhost", "/v2/", &fields));
                agent.replace("agent/", "second/")
            } else {
                Client::connect(&tidegate).exchange("GET /v2/", &fields);
                agent.clone()
            };
            let line = line(&tidegate, &agent);
            assert_eq!(line["trace_id"].as_str(), expected, "{line}");
            let seen = recorder.wait_for("the request", |seen| seen.all("User-Agent") == [&agent]);
            assert_eq!((seen.all("traceparent"), seen.all("tracestate")), (parents.clone(), states.clone()));
        }
    }
    // A refusal belongs to the trace too.
    Client::connect(&tidegate)
        .exchange("GET /v2/", &[&format!("traceparent: {valid}"), "User-Agent: refused/1"]);
    assert_eq!(line(&tidegate, "refused/1")["trace_id"], TRACE);
}
