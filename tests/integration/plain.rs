//! Plain HTTP only redirects to https.

use std::io::{Read, Write};
use std::net::TcpStream;

use crate::harness::DEADLINE;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};

fn start(recorder: &Recorder) -> Tidegate {
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.plain", r#"["127.0.0.1:0"]"#)
        .set("server.names", r#"["registry.test", "::1"]"#)
        .set("limits.handshake_timeout", r#""1s""#);
    Tidegate::start(settings)
}

/// Reads everything until the connection ends.
fn answer(tidegate: &Tidegate, request: &str) -> String {
    let mut socket = TcpStream::connect(tidegate.plain()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8(answer).unwrap()
}

#[test]
fn behind_a_balancer_the_redirect_names_its_host_and_not_our_port() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.plain", r#"["127.0.0.1:0"]"#)
        .set("server.trusted_proxies", r#"["127.0.0.0/8"]"#);
    let tidegate = Tidegate::start(settings);
    for (fields, host) in [
        ("X-Forwarded-Host: registry.example.com\r\nX-Forwarded-Proto: http", "registry.example.com"),
        ("X-Forwarded-Host: registry.example.com:80\r\nX-Forwarded-Port: 80", "registry.example.com"),
        ("X-Forwarded-For: 192.0.2.1", "inner.test"),
    ] {
        let request = format!("GET /v2/?n=1 HTTP/1.1\r\nHost: inner.test:5080\r\n{fields}\r\n\r\n");
        let answer = answer(&tidegate, &request);
        assert!(answer.contains(&format!("\r\nLocation: https://{host}/v2/?n=1\r\n")), "{answer}");
    }
}

#[test]
fn every_request_is_sent_to_https_and_none_to_the_registry() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder);
    let port = tidegate.address.port();
    for (line, host, location) in [
        ("GET /v2/?n=1&x=a%2Fb", "registry.test", format!("https://registry.test:{port}/v2/?n=1&x=a%2Fb")),
        ("GET /", "Registry.Test:80", format!("https://Registry.Test:{port}/")),
        ("HEAD /v2/a/manifests/b", "[::1]:8080", format!("https://[::1]:{port}/v2/a/manifests/b")),
        (
            "DELETE /v2/a/manifests/b",
            "registry.test",
            format!("https://registry.test:{port}/v2/a/manifests/b"),
        ),
    ] {
        let answer = answer(&tidegate, &format!("{line} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert!(answer.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{answer}");
        assert!(answer.contains(&format!("\r\nLocation: {location}\r\n")), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    }
    assert!(recorder.record().requests.is_empty());
}

#[test]
fn requests_that_https_would_refuse_are_refused() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder);
    for (request, status) in [
        ("GET / HTTP/1.1\r\nHost: other.test\r\n\r\n", "421"),
        ("GET / HTTP/1.1\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: registry.test\r\nHost: registry.test\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nHost: a@registry.test\r\n\r\n", "400"),
        ("GET http://registry.test/ HTTP/1.1\r\nHost: registry.test\r\n\r\n", "400"),
        ("GET //evil.test/ HTTP/1.1\r\nHost: registry.test\r\n\r\n", "400"),
        ("OPTIONS / HTTP/1.1\r\nHost: registry.test\r\n\r\n", "405"),
        ("GET /.well-known/acme-challenge/unknown HTTP/1.1\r\nHost: registry.test\r\n\r\n", "404"),
        ("nonsense\r\n\r\n", "400"),
    ] {
        let answer = answer(&tidegate, request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
    }
    let large = format!("GET / HTTP/1.1\r\nHost: registry.test\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert!(answer(&tidegate, &large).starts_with("HTTP/1.1 431 "));
}

#[test]
fn one_request_is_answered_and_a_missing_one_times_out() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder);
    let two = "GET / HTTP/1.1\r\nHost: registry.test\r\n\r\n".repeat(2);
    assert_eq!(answer(&tidegate, &two).matches("HTTP/1.1 ").count(), 1);
    assert_eq!(answer(&tidegate, "GET / HTTP/1.1\r\nHost: "), "");
}

#[test]
fn a_port_in_use_is_reported_under_its_own_key() {
    let recorder = Recorder::start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = Settings::for_upstream(&recorder.url()).set("server.plain", &format!(r#"["{address}"]"#));
    let refusal = settings.refused();
    assert_eq!(refusal.code, 71);
    let told = format!("server.plain {address}: the port is in use");
    assert!(refusal.output.iter().any(|line| line.contains(&told)), "{:?}", refusal.output);
}
