//! Clients that ask for much and read little of it.

use std::time::{Duration, Instant};

use crate::harness::fake::Fake;
use crate::harness::frames::{self, Frame, Frames};
use crate::harness::http1::{self, Client, authorized};
use crate::harness::http2;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;

const BLOB: &str = "/v2/a/blobs/sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
const STREAMS: usize = 100;

/// A registry with blobs of a gigabyte.
fn generous() -> Fake {
    Fake::start(|conversation| {
        while let Some(head) = conversation.read_head() {
            if head[0].contains("/blobs/") {
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
                // Large pieces, because tidegate reads all that is there.
                let piece = vec![7; 1 << 20];
                while conversation.write(&piece) {}
                return;
            }
            let body = if head[0].starts_with("HEAD") { "" } else { "{}" };
            let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{body}");
            conversation.write(answer.as_bytes());
        }
    })
}

/// Begins pulls on one connection with this window, and reads none of them.
fn hoard(tidegate: &Tidegate, window: u32, pulls: usize) -> http2::Client {
    let mut client = http2::Client::connect_with(tidegate, window);
    let request = || http2::request("GET", "localhost", BLOB, &[&authorized()]);
    let answers: Vec<_> = (0..pulls).map(|_| client.send(request(), true).0).collect();
    let bodies: Vec<_> = answers.into_iter().map(|answer| client.head(answer).unwrap()).collect();
    std::mem::forget(bodies);
    client
}

#[test]
fn pulls_that_are_not_read_hold_little_memory() {
    const CONNECTIONS: usize = 4;
    /// KiB per connection: its budget, and for each stream what it reads at once when that is used
    /// up. Without a budget it is up to 34 MiB; the unit tests of the budget are exact.
    const OF_CONNECTION: u64 = 24 << 10;
    /// Bytes that another client reads meanwhile. Transfers take turns, so each hoarder could have
    /// had as many, which is far more than its share of any window.
    const MEANWHILE: usize = 64 << 20;
    let registry = generous();
    // With one worker, all of them share the turns.
    let settings = Settings::for_upstream(&registry.url())
        .set("server.threads", "1")
        .environment("MIMALLOC_PURGE_DELAY", "0");
    let tidegate = Tidegate::start(settings);
    let mut other = Client::connect(&tidegate);
    assert_eq!(other.exchange("GET /v2/", &[&authorized()]).status, 200);
    let before = tidegate.resident_kib();
    let mut hoarders = Vec::new();
    for window in [65_535, 1 << 20, 16 << 20, 1 << 30].into_iter().take(CONNECTIONS) {
        hoarders.push(hoard(&tidegate, window, STREAMS));
        assert_eq!(other.exchange("GET /v2/", &[&authorized()]).status, 200);
    }
    let mut reader = Client::connect(&tidegate);
    reader.send(http1::head(&format!("GET {BLOB}"), &[&authorized()]));
    assert_eq!(reader.head_only().unwrap().0, 200);
    let mut left = MEANWHILE;
    while left > 0 {
        let some = reader.some();
        assert!(!some.is_empty(), "{left} bytes are left");
        left = left.saturating_sub(some.len());
    }
    let growth = tidegate.peak_kib() - before;
    eprintln!("grown by {growth} KiB");
    assert!(growth < CONNECTIONS as u64 * OF_CONNECTION, "grown by {growth} KiB");
    other = Client::connect(&tidegate);
    assert_eq!(other.exchange("GET /v2/", &[&authorized()]).status, 200);
}

/// The value of a setting that tidegate begins an HTTP/2 connection with.
fn setting(connection: &mut Frames, number: u16) -> u32 {
    let settings = std::iter::from_fn(|| connection.next().unwrap())
        .find(|frame| frame.kind == frames::SETTINGS && frame.flags & frames::ACK == 0);
    let payload = settings.unwrap().payload;
    let mut values = payload.chunks_exact(6);
    let value = values.find(|value| value[..2] == number.to_be_bytes()).expect("the setting");
    u32::from_be_bytes(value[2..].try_into().unwrap())
}

#[test]
fn the_more_http2_connections_a_network_has_the_less_each_may_have_at_once() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let registry = generous();
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let connect = || {
        let mut tls =
            Tls::connect_with(tidegate.address, tidegate.settings.authority.client(&["h2"])).unwrap();
        tls.send(&[frames::PREFACE, &Frame::new(frames::SETTINGS, 0, 0, &[]).bytes()].concat()).unwrap();
        Frames::over(tls)
    };
    let mut connections: Vec<Frames> = (0..64).map(|_| connect()).collect();
    assert_eq!(setting(&mut connections[0], MAX_CONCURRENT_STREAMS), 100);
    assert_eq!(setting(&mut connections[63], MAX_CONCURRENT_STREAMS), 25);
}

#[test]
fn requests_that_a_registry_never_answers_leave_places_for_other_networks() {
    let silent = |head: &[String]| head[0].contains("/silent/");
    let registry = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if silent(&head) {
                while conversation.read_some().is_some() {}
                return;
            }
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    });
    // The fewest places that a worker may have are 64.
    let settings = Settings::for_upstream(&registry.url())
        .set("server.threads", "32")
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#);
    let tidegate = Tidegate::start(settings);
    // One connection of a proxy: all its requests are on one worker.
    let mut proxy = http2::Client::connect(&tidegate);
    let request = |path: &str, client: u8| {
        let client = format!("x-forwarded-for: 192.0.2.{client}");
        http2::request("GET", "localhost", path, &[&authorized(), &client])
    };
    let crowd: Vec<_> = (0..80).map(|_| proxy.send(request("/v2/silent/tags/list", 1), true).0).collect();
    let begun = Instant::now();
    for client in 2..10 {
        assert_eq!(proxy.exchange(request("/v2/", client)).status(), 200, "client {client}");
    }
    // What waits longer than this is refused.
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    drop(crowd);
}

#[test]
fn the_slowest_pulls_end_when_connections_to_the_registry_run_out() {
    let registry = generous();
    // The fewest connections that a worker may have are 64.
    let settings = Settings::for_upstream(&registry.url()).set("server.threads", "32");
    let tidegate = Tidegate::start(settings);
    let mut client = hoard(&tidegate, 1 << 20, 64);
    let begun = Instant::now();
    // Without a body: the window of the connection is used up.
    let request = http2::request("HEAD", "localhost", "/v2/", &[&authorized()]);
    assert_eq!(client.exchange(request).status(), 200);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
}
