//! The status as JSON, and live.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use socket2::{Domain, Socket, Type};

use crate::harness::DEADLINE;
use crate::harness::admin::{self, ask, wait_for};
use crate::harness::fake;
use crate::harness::http1;
use crate::harness::tidegate::{Settings, Tidegate};

/// One who watches. The head of the answer was read.
struct Watcher {
    reader: BufReader<TcpStream>,
    head: String,
}

impl Watcher {
    fn new(address: SocketAddr) -> Watcher {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.write_all(http1::head("GET /api/events", &[]).as_bytes()).unwrap();
        let mut watcher = Watcher { reader: BufReader::new(socket), head: String::new() };
        while !watcher.head.ends_with("\r\n\r\n") {
            watcher.reader.read_line(&mut watcher.head).unwrap();
        }
        watcher
    }

    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The next event; `None` at the end of the answer.
    fn next(&mut self) -> Option<serde_json::Value> {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.reader.read_line(&mut line).unwrap();
            if let Some(data) = line.strip_prefix("data: ") {
                return Some(serde_json::from_str(data).unwrap());
            }
            // The last chunk.
            if read == 0 || line == "0\r\n" {
                return None;
            }
        }
    }
}

#[test]
fn the_status_has_what_is_documented() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    wait_for(&tidegate, "GET /api/status", |answer| answer.json()["upstreams"][0]["up"] == false);
    let answer = ask(&tidegate, "GET /api/status", &[]);
    assert_eq!(answer.all("content-type"), ["application/json"]);
    let status = answer.json();
    for key in [
        "time",
        "started",
        "uptime",
        "version",
        "revision",
        "node",
        "ready",
        "draining",
        "checks",
        "connections",
        "requests",
        "bytes",
        "passwords",
        "lost_lines",
        "transfers",
        "transfers_total",
        "chart",
        "upstreams",
        "certificates",
        "acme",
        "refusals",
        "settings",
    ] {
        assert!(status.get(key).is_some(), "{key} is not in {status}");
    }
    assert_eq!((&status["ready"], &status["checks"]["certificate"]), (&false.into(), &"ok".into()));
}

#[test]
fn the_status_comes_once_a_second_to_sixteen_watchers() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    let address = admin::address(&tidegate);
    let mut watchers: Vec<Watcher> = (0..16).map(|_| Watcher::new(address)).collect();
    assert!(watchers.iter().all(|watcher| watcher.status() == 200));
    assert!(watchers[0].head.contains("content-type: text/event-stream\r\n"), "{}", watchers[0].head);
    let seventeenth = ask(&tidegate, "GET /api/events", &[]);
    assert_eq!((seventeenth.status, seventeenth.all("retry-after").len()), (503, 1));
    assert_eq!(ask(&tidegate, "HEAD /api/events", &[]).status, 200);

    for watcher in &mut watchers {
        let first = watcher.next().unwrap();
        assert_eq!(first["chart"]["interval"], 10);
        assert_eq!(first["version"], env!("CARGO_PKG_VERSION"));
    }
    // All get the same events, one a second.
    let start = Instant::now();
    let last = &mut watchers[15];
    let times: Vec<_> = (0..3).map(|_| last.next().unwrap()["time"].clone()).collect();
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
    let others: Vec<_> = (0..3).map(|_| watchers[1].next().unwrap()["time"].clone()).collect();
    assert!(times.iter().any(|time| others.contains(time)), "{times:?} {others:?}");

    // Who leaves makes room.
    drop(watchers.pop());
    let begun = Instant::now();
    while Watcher::new(address).status() != 200 {
        assert!(begun.elapsed() < DEADLINE, "the place of a watcher that has left stays taken");
    }
}

#[test]
fn a_watcher_is_not_cut_off_when_the_time_for_a_request_head_is_over() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    let mut watcher = Watcher::new(admin::address(&tidegate));
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(13) {
        assert!(watcher.next().is_some(), "it was cut off after {:?}", start.elapsed());
    }
}

#[test]
fn those_who_watch_see_the_drain_to_its_end() {
    let registry = fake::Fake::silent();
    let settings = Settings::for_upstream(&registry.url())
        .set("server.admin", r#"["127.0.0.1:0"]"#)
        .set("server.drain_timeout", r#""4s""#);
    let mut tidegate = Tidegate::start(settings);
    let mut watcher = Watcher::new(admin::address(&tidegate));
    assert_eq!(watcher.next().unwrap()["draining"], false);
    // A request that never ends keeps the drain going.
    let mut client = http1::Client::connect(&tidegate);
    client.send(http1::head("GET /v2/a/tags/list", &[&http1::authorized()]));
    while watcher.next().unwrap()["requests"]["running"] != 1 {}
    tidegate.signal(Signal::TERM);
    let mut drained = 0;
    while let Some(event) = watcher.next() {
        drained += usize::from(event["draining"] == true);
    }
    assert!(drained > 0, "no event said that it drains");
    tidegate.wait();
}

/// The kernel holds what a few seconds send, so the test sends more than it takes.
#[test]
fn a_watcher_that_reads_nothing_delays_nobody() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    let address = admin::address(&tidegate);
    let _stalled: Vec<Watcher> = (0..15).map(|_| Watcher::new(address)).collect();
    let before = tidegate.resident_kib();
    let mut reader = Watcher::new(address);
    let start = Instant::now();
    for _ in 0..4 {
        reader.next().unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert!(tidegate.resident_kib() < before + 20_000);
}

#[test]
fn watchers_that_read_nothing_do_not_keep_their_places_for_an_hour() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    let address = admin::address(&tidegate);
    let stalled: Vec<Socket> = (0..16)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // Its kernel takes an event or two in its place.
            socket.set_recv_buffer_size(1024).unwrap();
            socket.connect(&address.into()).unwrap();
            (&socket).write_all(http1::head("GET /api/events", &[]).as_bytes()).unwrap();
            socket
        })
        .collect();
    let mut are_all_taken = false;
    let start = Instant::now();
    loop {
        let status = Watcher::new(address).status();
        are_all_taken |= status == 503;
        if are_all_taken && status == 200 {
            break;
        }
        assert!(start.elapsed() < 2 * DEADLINE, "their places are still taken");
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(stalled);
}
