//! Names with several addresses, addresses that vanish, and resolvers that fail.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::fake::{Fake, is_check};
use crate::harness::http1::Client;
use crate::harness::image::{noise, sha256};
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::zone::{NAME_ERROR, SERVER_FAILURE, Says, Zone};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const TAGS: &str = "GET /v2/a/tags/list";
const ONE: &str = "127.0.0.2";
const OTHER: &str = "127.0.0.3";
/// Less than the resolver's patience, and more than a busy machine needs.
const AT_ONCE: Duration = Duration::from_secs(4);

/// A registry at one address of the name.
struct Replica {
    fake: Fake,
    /// Of clients.
    requests: Arc<AtomicUsize>,
    /// Connections that are open.
    open: Arc<AtomicUsize>,
    /// Passed in the middle of a blob.
    gate: Arc<Barrier>,
    blob: Arc<Vec<u8>>,
}

impl Replica {
    /// Listens at `address`, on a port or on a free one.
    fn at(address: &str, port: u16) -> Replica {
        let address = SocketAddr::new(address.parse::<IpAddr>().unwrap(), port);
        let listener = TcpListener::bind(address).unwrap();
        let (requests, open) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (gate, blob) = (Arc::new(Barrier::new(2)), Arc::new(noise(1 << 20)));
        let (count, now, passed, bytes) = (requests.clone(), open.clone(), gate.clone(), blob.clone());
        let fake = Fake::on(listener, move |conversation| {
            now.fetch_add(1, Ordering::SeqCst);
            while let Some(head) = conversation.read_head() {
                count.fetch_add(usize::from(!is_check(&head)), Ordering::SeqCst);
                if head[0].contains("/blobs/") {
                    let (first, rest) = bytes.split_at(bytes.len() / 2);
                    let length = bytes.len();
                    conversation
                        .write(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes());
                    conversation.write(first);
                    passed.wait();
                    passed.wait();
                    conversation.write(rest);
                } else {
                    conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                }
            }
            now.fetch_sub(1, Ordering::SeqCst);
        });
        Replica { fake, requests, open, gate, blob }
    }

    fn port(&self) -> u16 {
        self.fake.address.port()
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }
}

/// A tidegate in front of the name.
fn before(zone: &Zone, port: u16) -> Tidegate {
    Tidegate::start(
        Settings::for_upstream(&format!("http://registry.test:{port}"))
            .set("upstream.shared_storage", "true")
            .set("upstream.balance", r#""round-robin""#)
            .set("upstream.resolve_every", r#""1s""#)
            .set("server.threads", "1")
            .run_by(zone.runner()),
    )
}

fn ask(client: &mut Client) -> u16 {
    client.exchange(TAGS, &[AUTH]).status
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < DEADLINE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Two replicas, on the same port of both addresses.
fn replicas() -> (Replica, Replica) {
    let one = Replica::at(ONE, 0);
    let port = one.port();
    (one, Replica::at(OTHER, port))
}

#[test]
fn requests_are_shared_out_over_the_addresses_of_a_name() {
    let Some(zone) = Zone::enter(&[ONE, OTHER]) else { return };
    let (one, other) = replicas();
    let tidegate = before(&zone, one.port());
    let mut client = Client::connect(&tidegate);
    for _ in 0..20 {
        assert_eq!(ask(&mut client), 200);
    }
    assert_eq!(one.requests() + other.requests(), 20);
    assert!(one.requests().abs_diff(other.requests()) <= 2, "{} of 20", one.requests());
}

#[test]
fn an_address_that_vanishes_keeps_its_transfer_and_gets_no_new_request() {
    let Some(zone) = Zone::enter(&[ONE]) else { return };
    let (one, other) = replicas();
    let tidegate = before(&zone, one.port());
    let mut transfer = Client::connect(&tidegate);
    let digest = sha256(&one.blob);
    std::thread::scope(|scope| {
        let blob = scope.spawn(|| transfer.exchange(&format!("GET /v2/a/blobs/sha256:{digest}"), &[AUTH]));
        one.gate.wait();
        // Another connection, which is idle then.
        let mut client = Client::connect(&tidegate);
        assert_eq!(ask(&mut client), 200);
        wait_until("two connections", || one.open() == 2);
        zone.say(Says::of(&[OTHER]));
        let start = Instant::now();
        while other.requests() == 0 {
            assert_eq!(ask(&mut client), 200);
            assert!(start.elapsed() < DEADLINE, "the new address is never used");
        }
        let before = one.requests();
        for _ in 0..20 {
            assert_eq!(ask(&mut client), 200);
        }
        assert_eq!(one.requests(), before, "the former address gets requests");
        wait_until("the end of the idle connection", || one.open() == 1);
        one.gate.wait();
        let blob = blob.join().unwrap();
        assert_eq!((blob.status, blob.complete, sha256(&blob.body)), (200, true, digest.clone()));
    });
    wait_until("the end of the last connection", || one.open() == 0);
}

#[test]
fn failed_look_ups_keep_the_known_address_and_delay_no_request() {
    let Some(zone) = Zone::enter(&[ONE]) else { return };
    let one = Replica::at(ONE, 0);
    let tidegate = before(&zone, one.port());
    assert_eq!(ask(&mut Client::connect(&tidegate)), 200);
    for says in [Says::Error(SERVER_FAILURE), Says::Error(NAME_ERROR), Says::of(&[]), Says::Nothing] {
        zone.say(says);
        // The second begins after the first has failed, or is that which runs for 30 s.
        zone.wait_for_questions(1);
        let start = Instant::now();
        for _ in 0..50 {
            assert_eq!(ask(&mut Client::connect(&tidegate)), 200);
        }
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    }
    tidegate.log.wait_for("the warning", |line| line.contains("cannot look up the registry"));
}

#[test]
fn one_look_up_of_a_name_runs_at_a_time() {
    let Some(zone) = Zone::enter(&[ONE, OTHER]) else { return };
    let (one, other) = replicas();
    let tidegate = before(&zone, one.port());
    let mut client = Client::connect(&tidegate);
    assert_eq!(ask(&mut client), 200);
    zone.say(Says::Nothing);
    zone.wait_for_questions(1);
    let asked = zone.questions();
    // Each failed connect asks for a look-up too.
    drop(one);
    let start = Instant::now();
    // More than a look-up may take until it counts as failed.
    while start.elapsed() < Duration::from_secs(7) {
        assert_eq!(ask(&mut client), 200);
    }
    assert_eq!(zone.questions(), asked, "another look-up began while one was running");
    assert!(other.requests() > 0);
}

#[test]
fn a_request_to_a_name_with_ipv4_and_ipv6_ends_when_neither_accepts() {
    let Some(zone) = Zone::enter(&[ONE, "::1"]) else { return };
    let port = TcpListener::bind((ONE, 0)).unwrap().local_addr().unwrap().port();
    let tidegate = before(&zone, port);
    for _ in 0..4 {
        let start = Instant::now();
        assert_eq!(ask(&mut Client::connect(&tidegate)), 502);
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    }
    // The address that failed first is not the first to be tried.
    let _four = Replica::at(ONE, port);
    assert_eq!(ask(&mut Client::connect(&tidegate)), 200);
}

#[test]
fn a_name_without_an_address_is_waited_for() {
    let Some(zone) = Zone::enter(&[]) else { return };
    zone.say(Says::Error(NAME_ERROR));
    let one = Replica::at(ONE, 0);
    let tidegate = before(&zone, one.port());
    let mut client = Client::connect(&tidegate);
    assert_eq!(ask(&mut client), 502);
    zone.say(Says::of(&[ONE]));
    assert_eq!(ask(&mut client), 200);
}
