//! Connections to the registry, and the effect of losing one.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::harness::authority::Authority;
use crate::harness::fake::Fake;
use crate::harness::http1::Client;
use crate::harness::http2;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Reads request heads from `stream` and answers each with 200.
fn answer_heads(stream: impl std::io::Read + Write) {
    let mut stream = BufReader::new(stream);
    loop {
        let mut line = String::new();
        loop {
            line.clear();
            if !stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                return;
            }
            if line == "\r\n" {
                break;
            }
        }
        if stream.get_mut().write_all(ANSWER).is_err() {
            return;
        }
    }
}

#[test]
fn a_registry_on_a_unix_socket_is_reached() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("registry.sock");
    let listener = UnixListener::bind(&path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            std::thread::spawn(move || answer_heads(stream));
        }
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&format!("unix:{}", path.display())));
    let mut client = Client::connect(&tidegate);
    for _ in 0..3 {
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    }
}

/// A registry with TLS and a certificate for localhost.
fn secure(authority: &Authority) -> Fake {
    let identity = authority.issue("registry");
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let config = Arc::new(config);
    Fake::start(move |conversation| {
        let connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        answer_heads(rustls::StreamOwned::new(connection, conversation.socket()));
    })
}

#[test]
fn a_registry_with_tls_is_reached_only_if_its_ca_is_trusted() {
    let theirs = Authority::new();
    let registry = secure(&theirs);
    let url = format!("https://localhost:{}", registry.address.port());
    for (ca, status) in [(theirs.pem(), 200), (Authority::new().pem(), 502)] {
        let settings = Settings::for_upstream(&url).set("upstream.ca", r#""registry-ca.crt""#);
        std::fs::write(settings.path().join("registry-ca.crt"), ca).unwrap();
        let tidegate = Tidegate::start(settings);
        assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status, status);
    }
}

/// A registry whose first connection answers once and closes during the second request. Counts
/// requests.
fn forgetful() -> (Fake, Arc<AtomicUsize>) {
    let connections = AtomicUsize::new(0);
    let requests = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&requests);
    let fake = Fake::start(move |conversation| {
        let first = connections.fetch_add(1, Ordering::SeqCst) == 0;
        let mut here = 0;
        while conversation.read_head().is_some() {
            counted.fetch_add(1, Ordering::SeqCst);
            here += 1;
            if first && here == 2 {
                return;
            }
            conversation.write(ANSWER);
        }
    });
    (fake, requests)
}

fn with_one_worker(upstream: &str) -> Tidegate {
    Tidegate::start(Settings::for_upstream(upstream).set("server.threads", "1"))
}

#[test]
fn a_read_is_retried_once_when_a_kept_connection_dies() {
    for method in ["GET", "HEAD"] {
        let (registry, requests) = forgetful();
        let tidegate = with_one_worker(&registry.url());
        let mut client = Client::connect(&tidegate);
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
        assert_eq!(client.exchange(&format!("{method} /v2/"), &[AUTH]).status, 200);
        assert_eq!(requests.load(Ordering::SeqCst), 3);
    }
}

#[test]
fn a_read_is_not_retried_once_its_answer_has_begun() {
    let registry = Fake::start(|conversation| {
        while let Some(head) = conversation.read_head() {
            if head[0].starts_with("GET /v2/a/") {
                conversation.write(b"HTTP/1.1 200 O");
                return;
            }
            conversation.write(ANSWER);
        }
    });
    let tidegate = with_one_worker(&registry.url());
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    assert_eq!(client.exchange("GET /v2/a/tags/list", &[AUTH]).status, 502);
    let line = tidegate.access.wait_for("its line", |line| line.contains("/v2/a/tags/list"));
    assert!(line.contains(r#""retries":0"#), "{line}");
}

#[test]
fn a_write_is_never_sent_twice() {
    for method in ["POST", "PATCH", "PUT", "DELETE"] {
        let (registry, requests) = forgetful();
        let tidegate = with_one_worker(&registry.url());
        let mut client = Client::connect(&tidegate);
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
        // Only a POST has no upload to refer to.
        let id = if method == "POST" { "" } else { "0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c" };
        let line = format!("{method} /v2/a/blobs/uploads/{id}");
        let response = client.exchange(&line, &[AUTH, "Content-Length: 0"]);
        assert_eq!(response.status, 502, "{method}");
        assert_eq!(requests.load(Ordering::SeqCst), 2, "{method} was sent again");
    }
}

#[test]
fn a_connection_that_the_registry_closed_is_not_used_again() {
    let registry = Fake::start(|conversation| {
        conversation.read_head();
        conversation.write(ANSWER);
    });
    let tidegate = with_one_worker(&registry.url());
    let mut client = Client::connect(&tidegate);
    for _ in 0..5 {
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    }
}

#[test]
fn fields_about_the_body_of_a_bodyless_answer_are_kept() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nDocker-Content-Digest: sha256:ab\r\n\
                  Content-Type: application/vnd.oci.image.manifest.v1+json\r\n\r\n";
    let registry = Fake::scripted(answer, false);
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let path = "/v2/a/manifests/latest";
    let mut client = Client::connect(&tidegate);
    for _ in 0..2 {
        let response = client.exchange(&format!("HEAD {path}"), &[AUTH]);
        assert_eq!(response.all("Content-Length"), ["12345"]);
        assert_eq!(response.all("Docker-Content-Digest"), ["sha256:ab"]);
    }
    let mut client = http2::Client::connect(&tidegate);
    let answer = client.exchange(http2::request("HEAD", "localhost", path, &[AUTH]));
    assert_eq!(answer.all("Content-Length"), ["12345"]);
    assert!(answer.end.is_ok() && answer.body.is_empty());

    for status in ["204 No Content", "304 Not Modified"] {
        let registry = Fake::scripted(format!("HTTP/1.1 {status}\r\nETag: \"x\"\r\n\r\n"), false);
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        let mut client = Client::connect(&tidegate);
        for _ in 0..2 {
            let response = client.exchange(&format!("GET {path}"), &[AUTH]);
            assert_eq!(response.status.to_string(), status[..3]);
            assert_eq!(response.all("ETag"), ["\"x\""]);
        }
    }
}

#[test]
fn an_answer_that_ends_with_its_connection_is_passed_on_whole() {
    let registry = Fake::scripted("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nto the end", true);
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let response = Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]);
    assert_eq!((response.status, response.text().as_str(), response.complete), (200, "to the end", true));
    let answer =
        http2::Client::connect(&tidegate).exchange(http2::request("GET", "localhost", "/v2/", &[AUTH]));
    assert_eq!((answer.body.as_slice(), answer.end.is_ok()), (&b"to the end"[..], true));
}

#[test]
fn hop_by_hop_fields_of_an_answer_are_not_forwarded() {
    let registry = Fake::scripted(
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nConnection: X-Second\r\nKeep-Alive: timeout=5\r\n\
         X-Hop: 1\r\nX-Second: 2\r\nX-End: 3\r\nContent-Length: 2\r\n\r\n{}",
        false,
    );
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let response = Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]);
    for gone in ["Keep-Alive", "X-Hop", "X-Second"] {
        assert!(response.all(gone).is_empty(), "{gone} in {:?}", response.headers);
    }
    assert_eq!(response.all("X-End"), ["3"]);
    assert!(!response.all("Connection").iter().any(|value| value.contains("X-")), "{:?}", response.headers);
}

#[test]
fn a_query_and_odd_but_legal_characters_are_forwarded_unchanged() {
    let recorder = crate::harness::recorder::Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let target = "/v2/a/b__c/tags/list?n=10&last=%C3%A4%2f~!$'()*+,;=:@&x=/?..//";
    Client::connect(&tidegate).exchange(&format!("GET {target}"), &[AUTH]);
    recorder.wait_for("the same target", |seen| seen.head.target == target);
}
