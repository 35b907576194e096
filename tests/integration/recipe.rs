//! The table of the nginx recipe in the registry's documentation, row by row, over HTTP/1.1 and
//! HTTP/2.

use crate::harness::fake::{Fake, refusing};
use crate::harness::http1::{self, authorized};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{basic, http2};

const VERSION: &str = "Docker-Distribution-Api-Version";
const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";

/// The parts of an answer that the table describes, for both protocols.
struct Row {
    status: u16,
    versions: Vec<String>,
    challenges: Vec<String>,
    location: Vec<String>,
    body: Vec<u8>,
}

/// Sends the same request over both protocols. Both answers must agree on what the table describes.
fn ask(tidegate: &Tidegate, method: &str, path: &str, fields: &[&str]) -> Row {
    let owned = |values: Vec<&str>| values.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let host = format!("Host: {}", tidegate.host());
    let mut with_host = vec![host.as_str()];
    with_host.extend(fields);
    let first = http1::Client::connect(tidegate).exchange(&format!("{method} {path}"), &with_host);
    let second =
        http2::Client::connect(tidegate).exchange(http2::request(method, &tidegate.host(), path, fields));
    assert_eq!(first.status, second.status(), "{method} {path} {fields:?}");
    for name in [VERSION, "WWW-Authenticate", "Location", "Content-Type"] {
        assert_eq!(first.all(name), second.all(name), "{name} of {method} {path} {fields:?}");
    }
    assert!(first.complete && second.end.is_ok(), "{method} {path}");
    Row {
        status: first.status,
        versions: owned(first.all(VERSION)),
        challenges: owned(first.all("WWW-Authenticate")),
        location: owned(first.all("Location")),
        body: first.body,
    }
}

fn start() -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    // The recipe's regular expression, split into its two lists. They are also the defaults.
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    (recorder, tidegate)
}

fn error_code(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).expect("an OCI error body");
    body["errors"][0]["code"].as_str().unwrap().to_owned()
}

#[test]
fn old_docker_clients_get_404() {
    let (recorder, tidegate) = start();
    for agent in ["docker/1.3.0", "docker/1.4.1", "docker/1.5.0", "Go 1.1 package http"] {
        let row = ask(&tidegate, "GET", "/v2/", &[AUTH, &format!("User-Agent: {agent}")]);
        assert_eq!(row.status, 404, "{agent}");
        assert_eq!(row.versions, ["registry/2.0"], "{agent}");
        error_code(&row.body);
    }
    assert!(recorder.record().requests.is_empty());
}

#[test]
fn newer_clients_and_those_without_a_user_agent_get_in() {
    let (_recorder, tidegate) = start();
    let newer = "docker/27.3.1 go/go1.22.7 git-commit/41ca978 kernel/6.1.0 os/linux arch/amd64";
    for agent in ["docker/1.5.0-dev", "docker/1.6.0", newer, "Go-http-client/1.1"] {
        let row = ask(&tidegate, "GET", "/v2/", &[AUTH, &format!("User-Agent: {agent}")]);
        assert_eq!(row.status, 200, "{agent}");
    }
    let row = ask(&tidegate, "GET", "/v2/", &[AUTH]);
    assert_eq!((row.status, row.versions), (200, vec!["registry/2.0".to_owned()]));
}

#[test]
fn paths_outside_the_api_get_404() {
    let (recorder, tidegate) = start();
    for path in ["/", "/v1/_ping", "/v20/", "/v2x", "/metrics", "/debug/vars"] {
        let row = ask(&tidegate, "GET", path, &[AUTH]);
        assert_eq!(row.status, 404, "{path}");
        error_code(&row.body);
    }
    let row = ask(&tidegate, "GET", "/v2", &[AUTH]);
    assert!(row.status == 301 && row.location[0].ends_with("/v2/"), "/v2: {} {:?}", row.status, row.location);
    assert!(recorder.record().requests.is_empty());
}

#[test]
fn clients_without_valid_credentials_are_challenged() {
    let (recorder, tidegate) = start();
    let wrong = basic("testuser", "wrong");
    let unknown = basic("nobody", "testpass");
    let upper = basic("Testuser", "testpass");
    let credentials = [
        None,
        Some(wrong.as_str()),
        Some(&unknown),
        Some(&upper),
        Some("Basic !!!not-base64!!!"),
        // "testuser", without a colon
        Some("Basic dGVzdHVzZXI="),
        // "testuser:testpass" and a NUL, where bcrypt would stop reading
        Some("Basic dGVzdHVzZXI6dGVzdHBhc3MA"),
        Some("Basic"),
        Some("Bearer dGVzdHVzZXI6dGVzdHBhc3M="),
    ];
    for credential in credentials {
        let field = credential.map(|credential| format!("Authorization: {credential}"));
        let fields: Vec<&str> = field.iter().map(String::as_str).collect();
        for (method, path) in
            [("GET", "/v2/"), ("GET", "/v2/a/manifests/latest"), ("DELETE", "/v2/no/such/thing")]
        {
            let row = ask(&tidegate, method, path, &fields);
            assert_eq!(row.status, 401, "{credential:?} {path}");
            assert_eq!(
                row.challenges,
                [r#"Basic realm="registry.localhost",charset="UTF-8""#],
                "{credential:?}"
            );
            assert_eq!(row.versions, ["registry/2.0"], "{credential:?}");
            assert_eq!(error_code(&row.body), "UNAUTHORIZED", "{credential:?}");
        }
    }
    assert!(recorder.record().requests.is_empty());
}

#[test]
fn the_scheme_of_the_credentials_is_read_in_any_case() {
    let (_recorder, tidegate) = start();
    for scheme in ["basic", "BASIC"] {
        let field = format!("Authorization: {scheme} dGVzdHVzZXI6dGVzdHBhc3M=");
        assert_eq!(ask(&tidegate, "GET", "/v2/", &[&field]).status, 200, "{scheme}");
    }
}

#[test]
fn a_refused_head_request_has_no_body() {
    let (_recorder, tidegate) = start();
    let mut client = http1::Client::connect(&tidegate);
    assert_eq!(client.exchange("HEAD /v2/a/manifests/latest", &[]).status, 401);
    // The connection is still in step: the next bytes are the next answer, not a body.
    assert_eq!(client.exchange("HEAD /v2/", &[AUTH]).status, 200);
}

#[test]
fn the_api_version_is_sent_once_although_the_registry_sends_it_too() {
    let answer = "HTTP/1.1 200 OK\r\nDocker-Distribution-Api-Version: registry/2.0\r\n\
                  docker-distribution-api-version: registry/2.0\r\nContent-Length: 2\r\n\r\n{}";
    let registry = Fake::scripted(answer, false);
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let row = ask(&tidegate, "GET", "/v2/", &[AUTH]);
    assert_eq!((row.status, row.versions.as_slice()), (200, ["registry/2.0".to_owned()].as_slice()));
}

#[test]
fn an_unreachable_registry_is_a_bad_gateway() {
    let tidegate = Tidegate::start(Settings::for_upstream(&refusing()));
    let row = ask(&tidegate, "GET", "/v2/", &[AUTH]);
    assert_eq!((row.status, row.versions.as_slice()), (502, ["registry/2.0".to_owned()].as_slice()));
    error_code(&row.body);
    let text = String::from_utf8_lossy(&row.body).into_owned();
    assert!(!text.contains("127.0.0.1"), "the error reveals an internal address: {text}");
}

#[test]
fn a_registry_that_dies_before_its_answer_is_a_bad_gateway() {
    let registry = Fake::start(|conversation| {
        conversation.read_head();
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    assert_eq!(ask(&tidegate, "GET", "/v2/", &[AUTH]).status, 502);
}

#[test]
fn a_silent_registry_is_a_gateway_timeout() {
    let registry = Fake::silent();
    let settings = Settings::for_upstream(&registry.url()).set("upstream.read_timeout", r#""1s""#);
    let tidegate = Tidegate::start(settings);
    let row = ask(&tidegate, "GET", "/v2/", &[AUTH]);
    assert_eq!((row.status, row.versions.as_slice()), (504, ["registry/2.0".to_owned()].as_slice()));
}

#[test]
fn methods_outside_the_api_are_refused_with_a_list_of_allowed_ones() {
    let (recorder, tidegate) = start();
    let row = http1::Client::connect(&tidegate).exchange("OPTIONS /v2/", &[&authorized()]);
    assert_eq!(row.status, 405);
    assert!(row.all("Allow")[0].contains("GET"), "{:?}", row.headers);
    assert_eq!(row.error_code(), "UNSUPPORTED");
    assert!(recorder.record().requests.is_empty());
}

#[test]
fn alpn_selects_the_protocol() {
    let (_recorder, tidegate) = start();
    let authority = &tidegate.settings.authority;
    let negotiated = |offer: &[&str]| {
        crate::harness::tls::Tls::connect_with(tidegate.address, authority.client(offer))
            .map(|tls| tls.protocol().map(|name| String::from_utf8_lossy(name).into_owned()))
    };
    assert_eq!(negotiated(&["http/1.1", "h2"]).unwrap().as_deref(), Some("h2"));
    assert_eq!(negotiated(&["http/1.1"]).unwrap().as_deref(), Some("http/1.1"));
    assert_eq!(negotiated(&[]).unwrap(), None);
    assert!(negotiated(&["spdy/3"]).is_err(), "no protocol in common");
    // Without ALPN, the protocol is HTTP/1.1.
    let plain = crate::harness::tls::Tls::connect_with(tidegate.address, authority.client(&[])).unwrap();
    assert_eq!(http1::Client::over(plain).exchange("GET /v2/", &[AUTH]).status, 200);
}

#[test]
fn a_refused_stream_leaves_the_others_of_its_connection_alone() {
    let (_recorder, tidegate) = start();
    let mut client = http2::Client::connect(&tidegate);
    let refused = http2::request("POST", "localhost", "/v2/a/blobs/uploads/", &["content-length: 1000000"]);
    let (answer, mut upload) = client.send(refused, false);
    let _ = client.data(&mut upload, &[0; 1000], false);
    assert_eq!(client.head(answer).unwrap().status(), 401);
    assert_eq!(client.exchange(http2::request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
}
