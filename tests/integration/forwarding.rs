//! What the registry learns about a client.

use crate::harness::fake::Fake;
use crate::harness::http1::{self, authorized};
use crate::harness::http2;
use crate::harness::recorder::{Recorder, Seen};
use crate::harness::tidegate::{Settings, Tidegate};

/// Fields with which a client may lie about itself.
const CLAIMS: [&str; 12] = [
    "Forwarded: for=9.9.9.9;host=evil;proto=http",
    "X-Forwarded-For: 9.9.9.9",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: evil",
    "X-Forwarded-Port: 80",
    "X-Forwarded-Prefix: /evil",
    "X-Real-IP: 9.9.9.9",
    "X-Forwarded-User: admin",
    "X-Original-URL: /v2/_catalog",
    "X-HTTP-Method-Override: DELETE",
    "X_Forwarded_For: 9.9.9.9",
    "Remote-User: admin",
];

fn the_one(recorder: &Recorder) -> Seen {
    let record = recorder.settle().expect("every request is whole");
    assert!(record.faults.is_empty(), "{:?}", record.faults);
    assert_eq!(record.requests.len(), 1, "{:#?}", record.requests);
    record.requests.into_iter().next().unwrap()
}

fn assert_true_client_fields(seen: &Seen, host: &str) {
    assert_eq!(seen.all("Host"), [host]);
    assert_eq!(seen.all("X-Real-IP"), ["127.0.0.1"]);
    assert_eq!(seen.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(seen.all("X-Forwarded-Proto"), ["https"]);
    assert_eq!(seen.all("X-Forwarded-Host"), [host]);
    for claim in [
        "Forwarded",
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-User",
        "X-Original-URL",
        "Remote-User",
    ] {
        assert!(seen.all(claim).is_empty(), "{claim} reached the registry");
    }
    assert!(seen.all("X-HTTP-Method-Override").is_empty() && seen.all("X_Forwarded_For").is_empty());
    let evil =
        seen.head.headers.iter().find(|(_, value)| value.contains("evil") || value.contains("9.9.9.9"));
    assert_eq!(evil, None);
}

#[test]
fn the_registry_sees_the_host_and_port_the_client_used_and_the_real_peer() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let host = format!("Host: {}", tidegate.host());
    let mut fields = vec![host.as_str(), "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M="];
    fields.extend(CLAIMS);
    assert_eq!(http1::Client::connect(&tidegate).exchange("GET /v2/", &fields).status, 200);
    assert_true_client_fields(&the_one(&recorder), &tidegate.host());

    let request = http2::request("GET", &tidegate.host(), "/v2/", &fields[1..]);
    assert_eq!(http2::Client::connect(&tidegate).exchange(request).status(), 200);
    assert_true_client_fields(&the_one(&recorder), &tidegate.host());
}

#[test]
fn fields_named_in_any_connection_line_are_not_forwarded() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let response = http1::Client::connect(&tidegate).exchange(
        "GET /v2/",
        &[
            &authorized(),
            "Connection: keep-alive, X-First",
            "Connection: X-Second , X-Forwarded-For,X-Real-IP, Host, Authorization",
            "X-First: 1",
            "X-Second: 2",
            "X-Third: 3",
            "Keep-Alive: timeout=5",
            "Proxy-Connection: keep-alive",
            "TE: trailers",
            "Upgrade: websocket",
        ],
    );
    assert_eq!(response.status, 200);
    let seen = the_one(&recorder);
    for gone in ["X-First", "X-Second", "Keep-Alive", "Proxy-Connection", "TE", "Upgrade"] {
        assert!(seen.all(gone).is_empty(), "{gone} reached the registry");
    }
    assert_eq!(seen.all("X-Third"), ["3"]);
    assert_eq!(seen.all("X-Real-IP"), ["127.0.0.1"]);
    assert_eq!(seen.all("X-Forwarded-For"), ["127.0.0.1"]);
    assert_eq!(seen.all("Host"), ["localhost"]);
    assert_eq!(seen.all("Authorization").len(), 1);
}

#[test]
fn the_registry_gets_the_name_and_not_the_password() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    http1::Client::connect(&tidegate).exchange("GET /v2/", &[&authorized()]);
    assert_eq!(the_one(&recorder).all("Authorization"), [crate::harness::basic("testuser", "")]);
}

#[test]
fn the_registry_gets_the_clients_credentials_or_none_if_so_configured() {
    for (setting, expected) in [("pass", Some(crate::harness::BASIC)), ("none", None)] {
        let recorder = Recorder::start();
        let settings =
            Settings::for_upstream(&recorder.url()).set("upstream.authorization", &format!("{setting:?}"));
        let tidegate = Tidegate::start(settings);
        http1::Client::connect(&tidegate).exchange("GET /v2/", &[&authorized()]);
        assert_eq!(the_one(&recorder).all("Authorization"), expected.as_slice());
    }
}

#[test]
fn the_fields_of_a_trusted_proxy_are_believed_and_extended() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.trusted_proxies", r#"["127.0.0.0/8", "10.0.0.0/8"]"#);
    let tidegate = Tidegate::start(settings);
    let response = http1::Client::connect(&tidegate).exchange(
        "GET /v2/",
        &[
            &authorized(),
            "X-Forwarded-For: 6.6.6.6, 198.51.100.7, 10.1.2.3",
            "X-Forwarded-Proto: http",
            "Forwarded: for=9.9.9.9",
            "X-Real-IP: 9.9.9.9",
        ],
    );
    assert_eq!(response.status, 200);
    let seen = the_one(&recorder);
    assert_eq!(seen.all("X-Forwarded-For"), ["6.6.6.6, 198.51.100.7, 10.1.2.3, 127.0.0.1"]);
    assert_eq!(seen.all("X-Real-IP"), ["198.51.100.7"], "the rightmost address that is not a trusted proxy");
    assert_eq!(seen.all("X-Forwarded-Proto"), ["http"]);
    assert!(seen.all("Forwarded").is_empty());
    let line = tidegate.access.wait_for("the access line", |line| line.contains("198.51.100.7"));
    assert!(line.contains("127.0.0.1"), "peer and client are both in {line}");
}

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
/// The balancer in front, as it writes the fields for a client of `registry.example.com`.
const OUTER: &str = "X-Forwarded-Host: registry.example.com";

fn behind_a_balancer(recorder: &Recorder, change: impl FnOnce(Settings) -> Settings) -> Tidegate {
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.trusted_proxies", r#"["127.0.0.0/8"]"#)
        .set("server.names", r#"["registry.example.com"]"#);
    Tidegate::start(change(settings))
}

#[test]
fn behind_a_balancer_the_registry_and_location_have_the_outer_name() {
    let registry = Fake::location_teller("202 Accepted", "/v2/team/app/blobs/uploads/1?_state=x");
    let settings = Settings::for_upstream(&registry.url())
        .set("server.trusted_proxies", r#"["127.0.0.0/8"]"#)
        .set("server.names", r#"["registry.example.com"]"#);
    let tidegate = Tidegate::start(settings);
    let mut client = http1::Client::connect(&tidegate);
    for (fields, begin) in [
        (&[OUTER][..], "https://registry.example.com/v2/"),
        (&[OUTER, "X-Forwarded-Proto: http"], "http://registry.example.com/v2/"),
        (&[OUTER, "X-Forwarded-Port: 443"], "https://registry.example.com/v2/"),
        (&[OUTER, "X-Forwarded-Port: 8443"], "https://registry.example.com:8443/v2/"),
        (&["X-Forwarded-Host: Registry.Example.COM:5000"], "https://Registry.Example.COM:5000/v2/"),
        (&["X-Forwarded-Host: forged.test, registry.example.com"], "https://registry.example.com/v2/"),
        (&["Forwarded: for=192.0.2.1;host=registry.example.com"], "https://registry.example.com/v2/"),
    ] {
        let mut all = vec!["Host: 10.0.0.7:8080", AUTH, "Content-Length: 0"];
        all.extend(fields);
        let response = client.exchange("POST /v2/team/app/blobs/uploads/", &all);
        assert_eq!(response.status, 202, "{fields:?}: {}", response.text());
        let location = response.all("Location")[0];
        assert!(location.starts_with(begin), "{location} for {fields:?}");
    }
    let line = tidegate.access.wait_for("its line", |line| line.contains("upload-start"));
    assert!(line.contains(r#""host":"registry.example.com""#), "{line}");

    let recorder = Recorder::start();
    let tidegate = behind_a_balancer(&recorder, |settings| settings);
    let response =
        http1::Client::connect(&tidegate).exchange("GET /v2/", &[AUTH, OUTER, "Host: 10.0.0.7:8080"]);
    assert_eq!(response.status, 200);
    let seen = the_one(&recorder);
    assert_eq!(seen.all("Host"), ["registry.example.com"]);
    assert_eq!(seen.all("X-Forwarded-Host"), ["registry.example.com"]);
    assert!(seen.all("X-Forwarded-Port").is_empty());
}

#[test]
fn the_outer_name_is_judged_and_a_bad_one_is_refused() {
    let recorder = Recorder::start();
    let tidegate = behind_a_balancer(&recorder, |settings| settings);
    for (fields, status) in [
        (&["Host: registry.example.com", "X-Forwarded-Host: other.test"][..], 421),
        (&["Host: registry.example.com", "X-Forwarded-Host: registry.example.com, other.test"], 421),
        (&["Host: registry.example.com", "X-Forwarded-Host: a/b"], 400),
        (&["Host: registry.example.com", "Forwarded: host=\"a"], 400),
        (&["Host: registry.example.com", OUTER, "X-Forwarded-Port: x"], 400),
        (&["Host: 10.0.0.7"], 421),
        (&["Host: registry.example.com", "X-Forwarded-Host: "], 200),
    ] {
        let mut all = vec![AUTH];
        all.extend(fields);
        let response = http1::Client::connect(&tidegate).exchange("GET /v2/", &all);
        assert_eq!(response.status, status, "{fields:?}: {}", response.text());
    }
}

#[test]
fn a_stranger_cannot_claim_an_outer_name() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("server.trusted_proxies", r#"["10.0.0.0/8"]"#);
    let tidegate = Tidegate::start(settings);
    let fields = [AUTH, OUTER, "Forwarded: host=registry.example.com", "X-Forwarded-Port: x"];
    assert_eq!(http1::Client::connect(&tidegate).exchange("GET /v2/", &fields).status, 200);
    assert_eq!(the_one(&recorder).all("Host"), ["localhost"]);
}

#[test]
fn a_request_for_a_name_that_is_not_served_is_misdirected() {
    let recorder = Recorder::start();
    let settings =
        Settings::for_upstream(&recorder.url()).set("server.names", r#"["registry.localhost", "localhost"]"#);
    let tidegate = Tidegate::start(settings);
    let mut client = http1::Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[&authorized(), "Host: Registry.Localhost:5000"]).status, 200);
    assert_eq!(client.exchange("GET /v2/", &[&authorized(), "Host: other.example"]).status, 421);
    assert_eq!(recorder.record().requests.len(), 1);
}
