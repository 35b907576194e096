//! Clients that speak HTTP without TLS on a port for HTTPS, and TLS on a port for plain HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::harness::DEADLINE;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;

fn start(recorder: &Recorder) -> Tidegate {
    Tidegate::start(Settings::for_upstream(&recorder.url()).set("server.plain", r#"["127.0.0.1:0"]"#))
}

/// Sends the pieces one by one, and reads everything until the connection ends. Fails if it is
/// reset.
fn answer(address: SocketAddr, pieces: &[&[u8]]) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    for piece in pieces {
        socket.write_all(piece).unwrap();
    }
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn plain_http_on_a_port_for_https_is_answered_with_a_sentence() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder);
    let large = vec![b'x'; 256 * 1024];
    for pieces in [
        &[&b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n"[..]][..],
        &[b"G", b"E", b"T /v2/ HTTP/1.1\r\nHost: localhost\r\n\r\n"],
        &[b"PURGE /"],
        &[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"],
        &[b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 262144\r\n\r\n", &large],
    ] {
        let answer = answer(tidegate.address, pieces);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{head}");
        for field in [
            "Docker-Distribution-Api-Version: registry/2.0",
            "Content-Type: application/json",
            "Connection: close",
            &format!("Content-Length: {}", body.len()),
        ] {
            assert!(head.lines().any(|line| line == field), "{field}: {head}");
        }
        assert!(body.contains("this port is for HTTPS"), "{body}");
    }
    let head = answer(tidegate.address, &[b"HEAD /v2/ HTTP/1.1\r\n\r\n"]);
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(recorder.record().requests.is_empty());
}

#[test]
fn what_is_neither_tls_nor_http_gets_an_alert() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder);
    for noise in
        [&b"\x80\x2e\x01\x03\x01\x00\x15\x00\x00\x00\x10"[..], b"GET\x00", b" / HTTP/1.1\r\n", b"\r\n\r\n"]
    {
        let answer = answer(tidegate.address, &[noise]);
        assert!(answer.starts_with("\x15\x03"), "{}: {answer:?}", noise.escape_ascii());
    }
}

#[test]
fn tls_on_a_port_for_plain_http_is_answered_in_plain_http() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder);
    let config = tidegate.settings.authority.client(&["h2", "http/1.1"]);
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    let mut client = rustls::ClientConnection::new(config.clone(), name).unwrap();
    let mut hello = Vec::new();
    client.write_tls(&mut hello).unwrap();
    // Go's clients recognise this, and say that the server speaks plain HTTP.
    let answer = answer(tidegate.plain(), &[&hello]);
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer:?}");
    assert!(Tls::connect_with(tidegate.plain(), config).is_err());
}

#[test]
fn a_body_that_was_not_read_does_not_cost_the_redirect() {
    let recorder = Recorder::start();
    let tidegate = start(&recorder);
    let large = vec![b'x'; 256 * 1024];
    let head = b"PUT /v2/a/manifests/b HTTP/1.1\r\nHost: localhost\r\nContent-Length: 262144\r\n\r\n";
    for _ in 0..20 {
        let answer = answer(tidegate.plain(), &[head, &large]);
        assert!(answer.starts_with("HTTP/1.1 308 Permanent Redirect\r\n"), "{answer:?}");
    }
}
