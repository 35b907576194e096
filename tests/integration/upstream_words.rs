//! What the log and the client read when the registry gives no answer, and the login that a
//! registry wants from tidegate.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use rustix::process::Signal;

use crate::harness::fake::{self, Fake};
use crate::harness::http1::{self, Client};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools;

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";

/// The message that the client reads; the log has to name `cause`.
fn message(url: &str, cause: &str) -> String {
    let tidegate = Tidegate::start(Settings::for_upstream(url));
    let response = Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]);
    assert_eq!((response.status, response.error_code().as_str()), (502, "UNAVAILABLE"), "{cause}");
    tidegate.log.wait_for(cause, |line| line.contains("did not answer") && line.contains(cause));
    let text = response.text();
    let inside = url.split("://").nth(1).unwrap();
    assert!(!text.contains(inside) && !text.contains("127.0.0.1"), "{text}");
    text
}

#[test]
fn the_words_of_a_502_say_what_happened() {
    let closing = Fake::start(|conversation| _ = conversation.read_head());
    let resetting = Fake::start(|conversation| {
        conversation.read_head();
        conversation.reset();
    });
    let chatting = Fake::scripted("SSH-2.0-OpenSSH_9.2\r\n", true);
    let plain = Fake::start(|conversation| {
        conversation.read_some();
        conversation.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    let tls = plain.url().replace("http://", "https://");
    for (url, cause, words) in [
        (fake::refusing(), "cannot connect", "refuses connections"),
        ("http://registry.invalid:5000".to_owned(), "cannot resolve the name", "cannot be resolved"),
        (closing.url(), "closed the connection without an answer", "closed the connection without an answer"),
        (
            resetting.url(),
            "closed the connection without an answer",
            "closed the connection without an answer",
        ),
        (chatting.url(), "its answer is not HTTP", "an answer that is not HTTP"),
        (tls, "no TLS", "failed the TLS handshake"),
    ] {
        let text = message(&url, cause);
        assert!(text.contains(words), "{url}: {text}");
    }
}

#[test]
fn an_error_of_the_registry_itself_is_passed_on_every_time() {
    let registry = Fake::scripted("HTTP/1.1 500 X\r\nContent-Length: 2\r\n\r\n{}", false);
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut client = Client::connect(&tidegate);
    for _ in 0..50 {
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 500);
    }
}

#[test]
fn what_a_registry_sent_before_it_hung_up_reaches_the_client() {
    for (answer, sent) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", "hello"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "hello"),
    ] {
        let registry = Fake::scripted(answer, true);
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        for _ in 0..20 {
            let mut client = Client::connect(&tidegate);
            client.send(http1::head("GET /v2/a/manifests/b", &[AUTH]));
            let response = client.response(false).expect("the head of the response");
            assert_eq!((response.status, response.text().as_str()), (200, sent));
            assert!(!response.complete && client.ends(), "{answer:?} looks whole");
        }
    }
}

fn with_login(upstream: &str) -> Settings {
    let settings = Settings::for_upstream(upstream)
        .set("auth.mode", r#""off""#)
        .set("upstream.authorization", r#""basic""#)
        .set("upstream.user", r#""door""#)
        .set("upstream.password_file", r#""registry-password""#);
    write(&settings, "s3cret:\u{e9}\n");
    settings
}

fn write(settings: &Settings, password: &str) {
    let path = settings.path().join("registry-password");
    fs::write(&path, password).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn basic(password: &str) -> String {
    use base64::Engine as _;
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("door:{password}")))
}

#[test]
fn a_registry_that_wants_a_fixed_password_serves_anonymous_clients() {
    let recorder = Recorder::start();
    let mut tidegate = Tidegate::start(with_login(&recorder.url()));
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/public/app/tags/list", &[]).status, 200);
    // The client's own password is not for the registry.
    assert_eq!(client.exchange("GET /v2/public/app/tags/list", &[AUTH]).status, 200);
    let start = tidegate.log.len();
    // As an editor of Windows saves it.
    write(&tidegate.settings, "\u{feff}another\r\n");
    tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
    assert_eq!(client.exchange("GET /v2/public/app/tags/list", &[]).status, 200);
    let seen: Vec<_> =
        recorder.record().requests.iter().map(|seen| seen.all("authorization").concat()).collect();
    assert_eq!(seen, [basic("s3cret:\u{e9}"), basic("s3cret:\u{e9}"), basic("another")]);
    drop(client);
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    for line in [tidegate.log.to_end(), tidegate.access.to_end()].concat() {
        assert!(!line.contains("another") && !line.contains("s3cret"), "{line}");
    }
}

#[test]
fn a_password_that_others_can_read_or_that_is_empty_stops_the_start() {
    let settings = with_login("http://127.0.0.1:5000");
    let path = settings.path().join("registry-password");
    let check = || {
        fs::write(settings.file(), settings.toml()).unwrap();
        tools::run(env!("CARGO_BIN_EXE_tidegate"), &["check", settings.file().to_str().unwrap()])
    };
    assert!(check().success, "{}", check().stderr);
    write(&settings, "\n");
    assert!(check().stderr.contains("does not hold a password"), "{}", check().stderr);
    write(&settings, "secret");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o604)).unwrap();
    assert!(check().stderr.contains("is a password"), "{}", check().stderr);
}
