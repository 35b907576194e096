//! Which server gets which request.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::harness::fake::{Fake, is_check, refusing};
use crate::harness::http1::Client;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";

/// A registry that names itself in each answer, and counts the requests of clients.
fn named(name: &'static str) -> (Fake, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let requests = Arc::clone(&count);
    let fake = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            requests.fetch_add(usize::from(!is_check(&head)), Ordering::SeqCst);
            conversation.write(
                format!("HTTP/1.1 200 OK\r\nX-Server: {name}\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes(),
            );
        }
    });
    (fake, count)
}

fn balanced(balance: &str, servers: &[String]) -> Tidegate {
    let mut settings = Settings::for_upstream(&servers[0])
        .set("upstream.servers", &format!("{servers:?}"))
        .set("upstream.balance", &format!("{balance:?}"))
        .set("server.threads", "1");
    if balance != "hash" {
        settings = settings.set("upstream.shared_storage", "true");
    }
    Tidegate::start(settings)
}

#[test]
fn requests_are_shared_out_evenly() {
    for balance in ["round-robin", "least-connections"] {
        let (one, other) = (named("one"), named("other"));
        let tidegate = balanced(balance, &[one.0.url(), other.0.url()]);
        let mut client = Client::connect(&tidegate);
        for _ in 0..40 {
            assert_eq!(client.exchange("GET /v2/a/tags/list", &[AUTH]).status, 200);
        }
        let counts = (one.1.load(Ordering::SeqCst), other.1.load(Ordering::SeqCst));
        assert_eq!(counts.0 + counts.1, 40, "{balance}");
        assert!(counts.0.abs_diff(counts.1) <= 4, "{balance}: {counts:?}");
    }
}

#[test]
fn uploads_stay_together_on_registries_without_shared_storage() {
    let fakes = [named("one"), named("two"), named("three")];
    let tidegate = balanced("hash", &fakes.each_ref().map(|(fake, _)| fake.url()));
    let mut used = BTreeSet::new();
    for number in 0..30 {
        let repository = format!("team/app-{number}");
        let mut servers = BTreeSet::new();
        for line in [
            format!("POST /v2/{repository}/blobs/uploads/"),
            format!("PATCH /v2/{repository}/{UPLOAD}"),
            format!("PATCH /v2/{repository}/{UPLOAD}"),
            format!("PUT /v2/{repository}/{UPLOAD}"),
            format!("GET /v2/{repository}/tags/list"),
        ] {
            // Each from another client.
            let response = Client::connect(&tidegate).exchange(&line, &[AUTH, "Content-Length: 0"]);
            assert_eq!(response.status, 200, "{line}");
            servers.insert(response.all("X-Server")[0].to_owned());
        }
        assert_eq!(servers.len(), 1, "{repository} is at {servers:?}");
        used.extend(servers);
    }
    assert_eq!(used.len(), 3, "only {used:?} have repositories");
}

#[test]
fn without_shared_storage_a_failing_server_fails_for_its_repositories_only() {
    let sound = named("sound");
    let tidegate = balanced("hash", &[refusing(), sound.0.url()]);
    let mut client = Client::connect(&tidegate);
    let mut counts = (0, 0);
    for number in 0..30 {
        let line = format!("GET /v2/team/app-{number}/tags/list");
        let statuses = [(); 2].map(|()| {
            let response = client.exchange(&line, &[AUTH]);
            if response.status == 503 {
                assert_eq!(response.error_code(), "UNAVAILABLE");
                assert_eq!(response.all("Retry-After").len(), 1, "{response:?}");
            }
            response.status
        });
        match statuses {
            [200, 200] => counts.0 += 1,
            [503, 503] => counts.1 += 1,
            other => panic!("{line}: {other:?}"),
        }
    }
    assert!(counts.0 > 0 && counts.1 > 0, "{counts:?}");
}
