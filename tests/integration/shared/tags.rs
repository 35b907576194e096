//! Immutable tags that two replicas are asked to push.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use super::{SOON, settings, until, wait_until_used};
use crate::harness::fake::Fake;
use crate::harness::http1::{Client, Response, authorized};
use crate::harness::image::{put_manifest, tiny_manifest, upload};
use crate::harness::redis::Redis;
use crate::harness::registry::Registry;
use crate::harness::tidegate::Tidegate;

const REPOSITORY: &str = "team/app";
const KIND: &str = "Accept: application/vnd.oci.image.manifest.v1+json";
const LEASE: &str = "tidegate:tag:team/app:v1";

fn replica(upstream: &str, engine: &Redis) -> Tidegate {
    let settings = settings(upstream, engine).set("policy.immutable_tags", r#"["**:v*"]"#);
    let tidegate = Tidegate::start(settings);
    wait_until_used(&tidegate);
    tidegate
}

/// Pushes an image with this note, whose config the registry has.
fn push(tidegate: &Tidegate, tag: &str, note: &str) -> Response {
    let (manifest, _) = tiny_manifest(b"{}", note);
    put_manifest(&mut Client::connect(tidegate), &authorized(), REPOSITORY, tag, &manifest)
}

/// The status of a push once leases are given out: an engine that was just started gives out none.
fn settled(tidegate: &Tidegate, tag: &str, note: &str) -> u16 {
    until(|| push(tidegate, tag, note).status, |status| *status != 503)
}

/// A registry without tags that never answers a push, and the number of pushes.
fn that_never_ends_a_push() -> (Fake, Arc<AtomicUsize>) {
    let pushes = Arc::new(AtomicUsize::new(0));
    let counted = pushes.clone();
    let registry = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if head[0].starts_with("PUT ") {
                counted.fetch_add(1, Ordering::SeqCst);
                return conversation.wait_for_end();
            }
            let status = if head[0].contains("/manifests/") { "404 Not Found" } else { "200 OK" };
            conversation.write(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
        }
    });
    (registry, pushes)
}

/// Pushes v1 and leaves that push at the registry.
fn begin_push(tidegate: &Tidegate, pushes: &AtomicUsize) -> Client {
    let (manifest, _) = tiny_manifest(b"{}", "first");
    let mut client = Client::connect(tidegate);
    until(
        || {
            let mut other = Client::connect(tidegate);
            let authorization = authorized();
            let length = format!("Content-Length: {}", manifest.len());
            let line = format!("PUT /v2/{REPOSITORY}/manifests/v1");
            other.send(crate::harness::http1::head(&line, &[&authorization, &length]));
            other.send(&manifest);
            // Either the push is at the registry, or it is refused because the engine is new.
            let start = Instant::now();
            while pushes.load(Ordering::SeqCst) == 0 && start.elapsed() < Duration::from_millis(300) {
                thread::sleep(Duration::from_millis(5));
            }
            client = other;
        },
        |()| pushes.load(Ordering::SeqCst) == 1,
    );
    client
}

#[test]
fn of_two_pushes_of_one_new_tag_exactly_one_succeeds() {
    let (registry, engine) = (Registry::start(), Redis::start());
    let replicas = [replica(&registry.url(), &engine), replica(&registry.url(), &engine)];
    upload(&mut Client::connect(&replicas[0]), &authorized(), REPOSITORY, b"{}");
    assert_eq!(settled(&replicas[0], "v0", "zero"), 201);
    for round in 1..=30 {
        let (tag, barrier) = (format!("v{round}"), Barrier::new(2));
        let statuses = thread::scope(|scope| {
            let pushes = [("one", &replicas[0]), ("other", &replicas[1])].map(|(note, replica)| {
                let (tag, barrier) = (&tag, &barrier);
                scope.spawn(move || {
                    let mut client = Client::connect(replica);
                    let (manifest, _) = tiny_manifest(b"{}", note);
                    barrier.wait();
                    put_manifest(&mut client, &authorized(), REPOSITORY, tag, &manifest).status
                })
            });
            pushes.map(|push| push.join().unwrap())
        });
        let mut sorted = statuses;
        sorted.sort_unstable();
        assert_eq!(sorted, [201, 409], "round {round}");
        let winner = if statuses[0] == 201 { "one" } else { "other" };
        // The same again is no change, through either.
        assert!(replicas.iter().all(|replica| push(replica, &tag, winner).status == 201), "round {round}");
    }
    // Given back soon after the answer.
    until(|| engine.cli(&["--scan", "--pattern", "tidegate:tag:*"]), String::is_empty);
}

#[test]
fn a_lease_is_not_renewed_when_its_holder_is_killed() {
    let (engine, (registry, pushes)) = (Redis::start(), that_never_ends_a_push());
    let (first, second) = (replica(&registry.url(), &engine), replica(&registry.url(), &engine));
    let _client = begin_push(&first, &pushes);
    let busy = push(&second, "v1", "second");
    assert_eq!(busy.status, 409);
    assert!(busy.text().contains("is being pushed at this moment"), "{}", busy.text());
    drop(first);
    let left: u64 = engine.cli(&["PTTL", LEASE]).parse().unwrap();
    assert!((1..=30_000).contains(&left), "{left}");
    // What the engine does when the time is over.
    engine.cli(&["PEXPIRE", LEASE, "1"]);
    let authorization = authorized();
    let (manifest, _) = tiny_manifest(b"{}", "second");
    let mut client = Client::connect(&second);
    let length = format!("Content-Length: {}", manifest.len());
    client.send(crate::harness::http1::head("PUT /v2/team/app/manifests/v1", &[&authorization, &length]));
    client.send(&manifest);
    until(|| pushes.load(Ordering::SeqCst), |count| *count == 2);
}

#[test]
fn a_lease_outlives_an_engine_that_forgets_it() {
    let (mut engine, (registry, pushes)) = (Redis::start(), that_never_ends_a_push());
    let (first, second) = (replica(&registry.url(), &engine), replica(&registry.url(), &engine));
    let _client = begin_push(&first, &pushes);
    for forget in [
        (|engine| {
            engine.kill();
            engine.restart();
        }) as fn(&mut Redis),
        |engine| {
            engine.cli(&["FLUSHALL"]);
        },
    ] {
        forget(&mut engine);
        assert_eq!(settled(&second, "v1", "second"), 409);
        assert_eq!(pushes.load(Ordering::SeqCst), 1);
        let left: u64 = engine.cli(&["PTTL", LEASE]).parse().unwrap();
        assert!((1..=30_000).contains(&left), "{left}");
    }
}

#[test]
fn without_the_engine_only_new_immutable_tags_are_refused_and_nobody_waits() {
    let (registry, engine) = (Registry::start(), Redis::start());
    let tidegate = replica(&registry.url(), &engine);
    upload(&mut Client::connect(&tidegate), &authorized(), REPOSITORY, b"{}");
    assert_eq!(settled(&tidegate, "v0", "zero"), 201);
    engine.freeze();
    let start = Instant::now();
    for _ in 0..60 {
        let refused = push(&tidegate, "v1", "one");
        assert_eq!((refused.status, refused.all("retry-after")), (503, vec!["2"]), "{}", refused.text());
    }
    // 15 s if each had waited for its 250 ms.
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    assert_eq!(push(&tidegate, "v0", "zero").status, 201, "it has this manifest");
    assert_eq!(push(&tidegate, "v0", "other").status, 409);
    assert_eq!(push(&tidegate, "latest", "one").status, 201, "it may change");
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/team/app/manifests/v0", &[&authorized(), KIND]).status, 200);
    engine.thaw();
    assert!(wait_until_used(&tidegate) < SOON);
    assert_eq!(settled(&tidegate, "v1", "one"), 201);
    let line = tidegate.access.wait_for("a refusal", |line| line.contains(r#""status":503"#));
    assert!(line.contains("whether another replica pushes"), "{line}");
}
