//! Web pages of other origins: what a browser is told, with `[cors]` and without.

use crate::harness::fake::{Fake, refusing};
use crate::harness::http1::{Client, authorized};
use crate::harness::http2;
use crate::harness::tidegate::{Settings, Tidegate};

const UI: &str = "Origin: https://ui.example.com";
const FOREIGN: &str = "Origin: https://evil.test";
const ASKS: &str = "Access-Control-Request-Method: DELETE";
const ORIGINS: &str = r#"["https://UI.example.com:443"]"#;

/// A registry that shares its answers with everyone.
fn generous() -> Fake {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nAccess-Control-Allow-Origin: *\r\n\
                  Access-Control-Allow-Credentials: true\r\nAccess-Control-Allow-Methods: PURGE\r\n\
                  Vary: Accept\r\n\r\n{}";
    Fake::scripted(answer, false)
}

fn shared(upstream: &str) -> Tidegate {
    Tidegate::start(Settings::for_upstream(upstream).set("cors.origins", ORIGINS))
}

#[test]
fn a_preflight_is_answered_without_a_password() {
    let registry = generous();
    let tidegate = shared(&registry.url());
    for path in ["/v2/", "/v2/team/app/manifests/latest", "/v2/_catalog", "/auth/token"] {
        let fields = [UI, ASKS, "Access-Control-Request-Headers: authorization,content-type"];
        let first = Client::connect(&tidegate).exchange(&format!("OPTIONS {path}"), &fields);
        let request = http2::request("OPTIONS", "localhost", path, &fields);
        let second = http2::Client::connect(&tidegate).exchange(request);
        assert_eq!((first.status, second.status()), (204, 204), "{path}: {}", first.text());
        for name in ["Origin", "Credentials", "Methods", "Headers"] {
            let name = format!("Access-Control-Allow-{name}");
            assert_eq!(first.all(&name), second.all(&name), "{name}");
            assert_eq!(first.all(&name).len(), 1, "{name}");
        }
        assert_eq!(first.all("Access-Control-Allow-Origin"), ["https://ui.example.com"]);
        assert_eq!(first.all("Access-Control-Allow-Credentials"), ["true"]);
        let methods = first.all("Access-Control-Allow-Methods")[0];
        assert!(["GET", "PUT", "PATCH", "DELETE"].iter().all(|method| methods.contains(method)), "{methods}");
        let headers = first.all("Access-Control-Allow-Headers")[0];
        assert!(headers.contains("Authorization") && headers.contains("Content-Type"), "{headers}");
        assert_eq!(first.all("Access-Control-Max-Age"), ["3600"]);
        assert_eq!(first.all("Vary"), ["Origin"]);
    }
    tidegate.access.wait_for("its line", |line| line.contains(r#""operation":"preflight""#));
}

#[test]
fn every_answer_to_a_named_origin_can_be_read_by_its_page() {
    let registry = generous();
    let tidegate = shared(&registry.url());
    let dead = shared(&refusing());
    for (tidegate, line, fields, status) in [
        (&tidegate, "GET /v2/", &[][..], 401),
        (&tidegate, "GET /v2/", &[&*authorized()], 200),
        (&tidegate, "GET /elsewhere", &[], 404),
        (&tidegate, "GET /v2", &[], 301),
        (&tidegate, "GET /v2/../x", &[], 400),
        (&tidegate, "OPTIONS /v2/", &[], 405),
        (&tidegate, "PUT /v2/_catalog", &[&*authorized(), "Content-Length: 0"], 405),
        (&tidegate, "GET /v2/unknown", &[&*authorized()], 404),
        (&dead, "GET /v2/", &[&*authorized()], 502),
    ] {
        let response = Client::connect(tidegate).exchange(line, &[&[UI], fields].concat());
        assert_eq!(response.status, status, "{line}: {}", response.text());
        assert_eq!(response.all("Access-Control-Allow-Origin"), ["https://ui.example.com"], "{line}");
        assert_eq!(response.all("Access-Control-Allow-Credentials"), ["true"], "{line}");
        let exposed = response.all("Access-Control-Expose-Headers")[0];
        for name in ["Docker-Content-Digest", "WWW-Authenticate", "Link", "Location", "Docker-Upload-UUID"] {
            assert!(exposed.contains(name), "{name} in {exposed}");
        }
        assert!(response.all("Access-Control-Allow-Methods").is_empty(), "the registry's are replaced");
        assert_eq!(response.all("Vary").last(), Some(&"Origin"), "{line}");
    }
}

#[test]
fn the_token_endpoint_can_be_read_too() {
    let registry = generous();
    let settings = Settings::for_upstream(&registry.url())
        .set("cors.origins", ORIGINS)
        .set("auth.mode", r#""token""#)
        .tables("[[access]]\nusers = [\"anonymous\"]\nrepositories = [\"**\"]\nactions = [\"pull\"]\n");
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    for (line, status) in [("GET /auth/token?scope=repository:a:pull", 200), ("GET /v2/", 401)] {
        let response = client.exchange(line, &[UI]);
        assert_eq!(response.status, status, "{}", response.text());
        assert_eq!(response.all("Access-Control-Allow-Origin"), ["https://ui.example.com"], "{line}");
    }
    let wrong = client.exchange("GET /auth/token", &[UI, "Authorization: Basic eDp5"]);
    assert_eq!((wrong.status, wrong.all("Access-Control-Allow-Credentials")), (401, vec!["true"]));
}

#[test]
fn other_origins_learn_nothing() {
    let registry = generous();
    let tidegate = shared(&registry.url());
    for others in [
        &[][..],
        &[FOREIGN],
        &["Origin: null"],
        &["Origin: http://ui.example.com"],
        &["Origin: https://ui.example.com.evil.test"],
        &["Origin: https://ui.example.com:8443"],
        &[UI, FOREIGN],
        &[UI, UI],
    ] {
        for fields in [&[][..], &[&*authorized()]] {
            let response = Client::connect(&tidegate).exchange("GET /v2/", &[others, fields].concat());
            assert!(matches!(response.status, 200 | 401), "{others:?}");
            let told = response.headers.iter().find(|(name, _)| name.to_lowercase().starts_with("access-"));
            assert_eq!(told, None, "{others:?}");
            assert_eq!(response.all("Vary").last(), Some(&"Origin"));
        }
    }
    let response = Client::connect(&tidegate).exchange("OPTIONS /v2/", &[FOREIGN, ASKS]);
    assert_eq!(response.status, 403, "{}", response.text());
    assert!(response.all("Access-Control-Allow-Origin").is_empty());
    assert!(response.text().contains("cors.origins"), "{}", response.text());
}

#[test]
fn a_star_never_gives_credentials() {
    let registry = generous();
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()).set("cors.origins", r#"["*"]"#));
    for (line, fields, status) in
        [("GET /v2/", &[FOREIGN, &*authorized()][..], 200), ("OPTIONS /v2/", &[FOREIGN, ASKS], 204)]
    {
        let response = Client::connect(&tidegate).exchange(line, fields);
        assert_eq!((response.status, response.all("Access-Control-Allow-Origin")), (status, vec!["*"]));
        assert!(response.all("Access-Control-Allow-Credentials").is_empty());
    }
}

#[test]
fn without_cors_nothing_changes() {
    let registry = generous();
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut client = Client::connect(&tidegate);
    let response = client.exchange("GET /v2/", &[UI, &authorized()]);
    assert_eq!(response.all("Access-Control-Allow-Origin"), ["*"], "the registry's own");
    assert_eq!(response.all("Vary"), ["Accept"]);
    let response = client.exchange("GET /v2/", &[UI]);
    assert_eq!((response.status, response.all("Vary").len()), (401, 0));
    assert_eq!(client.exchange("OPTIONS /v2/", &[UI, ASKS]).status, 405);
}
