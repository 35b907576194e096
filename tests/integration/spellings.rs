//! What the standards hold for the same is one to tidegate: hosts, addresses, escapes.

use crate::harness::http1::{Client, authorized};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};

fn serving(recorder: &Recorder, names: &str) -> Tidegate {
    Tidegate::start(Settings::for_upstream(&recorder.url()).set("server.names", names))
}

#[test]
fn every_spelling_of_a_host_is_the_served_one() {
    let recorder = Recorder::start();
    let tidegate = serving(&recorder, r#"["Registry.Test.", "[0:0::0:1]", "192.0.2.1"]"#);
    let mut client = Client::connect(&tidegate);
    for host in [
        "registry.test",
        "REGISTRY.Test",
        "registry.test.",
        "registry.test:443",
        "registry.test.:",
        "registry.test:0443",
        "[::1]",
        "[0:0:0:0:0:0:0:1]:443",
        "[0000::0001]:",
        "192.0.2.1",
        "[::ffff:192.0.2.1]",
        "[::FFFF:c000:201]:5000",
    ] {
        let response = client.exchange("GET /v2/", &[&authorized(), &format!("Host: {host}")]);
        assert_eq!(response.status, 200, "{host}: {}", response.text());
        let record = recorder.settle().unwrap();
        assert_eq!(record.requests[0].all("Host"), [host], "it goes on as it was sent");
    }
    for host in ["registry.test.x", "registry.test..", "[::2]", "192.0.2.2", "[::192.0.2.1]"] {
        let response = Client::connect(&tidegate).exchange("GET /v2/", &[&format!("Host: {host}")]);
        assert_eq!(response.status, 421, "{host}");
    }
}

#[test]
fn a_request_that_names_one_host_in_two_spellings_names_one() {
    let recorder = Recorder::start();
    let tidegate = serving(&recorder, r#"["registry.test"]"#);
    let mut client = Client::connect(&tidegate);
    let line = "GET https://registry.test./v2/";
    let response = client.exchange(line, &[&authorized(), "Host: Registry.Test:443"]);
    assert_eq!(response.status, 200, "{}", response.text());
    let response = client.exchange(line, &[&authorized(), "Host: registry.test:444"]);
    assert_eq!(response.status, 400);
}

#[test]
fn escaped_letters_are_the_letters_themselves() {
    let recorder = Recorder::start();
    let tidegate = serving(&recorder, "[]");
    let mut client = Client::connect(&tidegate);
    for path in [
        "/v2/%6cibrary/alpine/tags/list",
        "/v2/%6Cibrary/alpine/tags/%6C%69%73%74",
        "/%76%32/library/alpine/tags/list",
    ] {
        let response = client.exchange(&format!("GET {path}"), &[&authorized()]);
        assert_eq!(response.status, 200, "{path}");
        let record = recorder.settle().unwrap();
        assert_eq!(record.requests[0].head.target, "/v2/library/alpine/tags/list");
    }
    for path in ["/v2/library/%2e%2e/alpine/tags/list", "/v2/library%2Falpine/tags/list", "/v2/%2E/"] {
        let response = Client::connect(&tidegate).exchange(&format!("GET {path}"), &[&authorized()]);
        assert_eq!(response.status, 400, "{path}");
    }
}

#[test]
fn the_base_without_its_slash_is_redirected_as_the_registry_does_it() {
    let recorder = Recorder::start();
    let tidegate = serving(&recorder, "[]");
    let mut client = Client::connect(&tidegate);
    for (line, location) in [
        ("GET /v2", "/v2/"),
        ("HEAD /v2", "/v2/"),
        ("GET /v2?n=1&last=a%2Fb", "/v2/?n=1&last=a%2Fb"),
        ("GET /%762", "/v2/"),
        ("DELETE /v2", "/v2/"),
    ] {
        let response = client.exchange(line, &[]);
        assert_eq!((response.status, response.all("Location")), (301, vec![location]), "{line}");
        assert_eq!(response.all("Docker-Distribution-Api-Version"), ["registry/2.0"]);
        assert!(response.all("Warning").is_empty(), "the client goes on");
    }
    assert!(recorder.record().requests.is_empty());
}

/// A health check of haproxy, and of others.
#[test]
fn http_1_0_without_a_host_is_answered_for_the_default_host() {
    let recorder = Recorder::start();
    let tidegate = serving(&recorder, r#"["registry.test", "other.test"]"#);
    let ask = |request: &str| {
        let mut client = Client::connect(&tidegate);
        client.send(request);
        client.response(false).unwrap().status
    };
    assert_eq!(ask("OPTIONS /v2/ HTTP/1.0\r\n\r\n"), 405);
    assert_eq!(ask("GET /v2/ HTTP/1.0\r\n\r\n"), 401);
    assert_eq!(ask(&format!("GET /v2/ HTTP/1.0\r\n{}\r\n\r\n", authorized())), 200);
    let record = recorder.settle().unwrap();
    assert_eq!(record.requests[0].all("Host"), ["registry.test"]);
    assert_eq!(record.requests[0].all("X-Forwarded-Host"), ["registry.test"]);
    assert_eq!(ask("GET https://other.test/v2/ HTTP/1.0\r\n\r\n"), 401);
    assert_eq!(ask("GET /v2/ HTTP/1.0\r\nHost: elsewhere.test\r\n\r\n"), 421);
    assert_eq!(ask("GET /v2/ HTTP/1.0\r\nHost:\r\n\r\n"), 400);
    assert_eq!(ask("GET /v2/ HTTP/1.1\r\n\r\n"), 400);
    tidegate.access.wait_for("the default host", |line| line.contains(r#""host":"registry.test""#));
}
