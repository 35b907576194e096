//! Shutdown: which requests are finished, and how long that may take.

use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::harness::admin;
use crate::harness::fake::Fake;
use crate::harness::frames::{self, Frame, Frames};
use crate::harness::http1::{self, Client};
use crate::harness::image::{noise, sha256};
use crate::harness::recorder::Recorder;
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::{BASIC, DEADLINE};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The status of one short request over a new connection, or `None` when nothing accepts it.
fn ask(tidegate: &Tidegate) -> Option<u16> {
    let config = tidegate.settings.authority.client(&["http/1.1"]);
    let mut client = Client::over(Tls::connect_with(tidegate.address, config).ok()?);
    client.tls.send(http1::head("GET /v2/", &[AUTH]).as_bytes()).ok()?;
    client.response(false).ok().map(|response| response.status)
}

#[test]
fn consecutive_short_requests_are_all_answered_during_a_drain() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.drain_timeout", r#""10s""#)
        .set("limits.handshake_timeout", r#""60s""#);
    let mut tidegate = Tidegate::start(settings);
    // This connection is idle, and closes as soon as no more requests are expected.
    let silent = TcpStream::connect(tidegate.address).unwrap();
    for _ in 0..20 {
        assert_eq!(ask(&tidegate), Some(200));
    }
    let start = Instant::now();
    tidegate.signal(Signal::TERM);
    let mut answered = 0;
    // A client that pauses between requests, so that a check rarely finds one in flight.
    while start.elapsed() < Duration::from_secs(3) {
        assert_eq!(ask(&tidegate), Some(200), "after {answered} requests and {:?}", start.elapsed());
        answered += 1;
        let ended = ends_within(&silent, Duration::from_millis(100));
        assert!(!ended, "it closes after {:?}, while requests still come", start.elapsed());
    }
    tidegate.log.wait_for("the signal", |line| line.contains("draining"));
    assert_eq!(tidegate.wait().code(), Some(0));
    assert_eq!(tidegate.access.to_end().len(), 20 + answered);
}

fn ends_within(mut socket: &TcpStream, time: Duration) -> bool {
    socket.set_read_timeout(Some(time)).unwrap();
    match std::io::Read::read(&mut socket, &mut [0; 16]) {
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
        Ok(_) => true,
    }
}

#[test]
fn an_endless_series_of_requests_is_answered_for_half_the_drain_timeout() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("server.drain_timeout", r#""10s""#);
    let mut tidegate = Tidegate::start(settings);
    assert_eq!(ask(&tidegate), Some(200));
    let start = Instant::now();
    tidegate.signal(Signal::TERM);
    while let Some(status) = ask(&tidegate) {
        assert_eq!(status, 200);
        assert!(start.elapsed() < DEADLINE, "requests are answered forever");
    }
    let (least, most) = (Duration::from_millis(4900), Duration::from_secs(9));
    assert!((least..most).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert_eq!(tidegate.wait().code(), Some(0));
}

#[test]
fn in_the_delay_everything_goes_on_but_readiness() {
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url())
        .set("server.readiness", r#""self""#)
        .set("server.drain_delay", r#""4s""#);
    let mut tidegate = Tidegate::start(settings);
    let mut kept = Client::connect(&tidegate);
    assert_eq!(kept.exchange("GET /v2/", &[AUTH]).status, 200);
    assert_eq!(admin::ask(&tidegate, "GET /readyz", &[]).status, 200);
    let start = Instant::now();
    tidegate.signal(Signal::TERM);
    tidegate.log.wait_for("the signal", |line| line.contains("still accepting for server.drain_delay"));
    assert_eq!(admin::ask(&tidegate, "GET /readyz", &[]).status, 503);
    for _ in 0..3 {
        assert_eq!(ask(&tidegate), Some(200));
        let answer = kept.exchange("GET /v2/", &[AUTH]);
        assert_eq!((answer.status, answer.all("connection")), (200, Vec::new()));
    }
    assert!(!tidegate.log.so_far().iter().any(|line| line.contains("draining")), "the machine is too slow");
    tidegate.log.wait_for("the end of the delay", |line| line.contains("draining"));
    assert!(start.elapsed() >= Duration::from_secs(4), "{:?}", start.elapsed());
    assert_eq!(tidegate.wait().code(), Some(0));
}

#[test]
fn silent_connections_do_not_delay_the_end() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("limits.handshake_timeout", r#""60s""#);
    let mut tidegate = Tidegate::start(settings);
    let silent = TcpStream::connect(tidegate.address).unwrap();
    let plain = Tls::connect(&tidegate, "http/1.1");
    let multiplexed = Tls::connect(&tidegate, "h2");
    let mut preface = Tls::connect(&tidegate, "h2");
    preface.send(frames::PREFACE).unwrap();
    // Connections are accepted in order, so the earlier ones are accepted too.
    assert_eq!(ask(&tidegate), Some(200));
    let start = Instant::now();
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    drop((silent, plain, multiplexed, preface));
}

#[test]
fn transfers_cut_at_the_drain_timeout_are_in_the_access_log() {
    let registry = Fake::start(|conversation| {
        let Some(head) = conversation.read_head() else { return };
        if head[0].starts_with("GET") {
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst");
        }
        while conversation.read_some().is_some() {}
    });
    let settings = Settings::for_upstream(&registry.url()).set("server.drain_timeout", r#""1s""#);
    let mut tidegate = Tidegate::start(settings);
    let (mut pull, mut push) = (Client::connect(&tidegate), Client::connect(&tidegate));
    pull.send(http1::head(&format!("GET {BLOB}"), &[AUTH, "User-Agent: puller/1"]));
    assert_eq!(pull.head_only().unwrap().0, 200);
    push.send(http1::head(
        &format!("PATCH {UPLOAD}"),
        &[AUTH, "User-Agent: pusher/1", "Expect: 100-continue", "Content-Length: 1000"],
    ));
    assert_eq!(push.head_only().unwrap().0, 100);
    push.send("first");
    let start = Instant::now();
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    let lines = tidegate.access.to_end();
    for agent in ["puller/1", "pusher/1"] {
        let count = lines.iter().filter(|line| line.contains(agent)).count();
        assert_eq!(count, 1, "lines of {agent} in:\n{}", lines.join("\n"));
    }
}

#[test]
fn a_running_push_of_100_mib_completes_after_the_listeners_have_closed() {
    const SIZE: usize = 100 << 20;
    let registry = Registry::start();
    let settings = Settings::for_upstream(&registry.url()).set("server.drain_timeout", r#""12s""#);
    let mut tidegate = Tidegate::start(settings);
    let blob = noise(SIZE);
    let digest = format!("sha256:{}", sha256(&blob));
    let mut client = Client::connect(&tidegate);
    let upload = client.exchange("POST /v2/a/blobs/uploads/", &[AUTH, "Content-Length: 0"]);
    assert_eq!(upload.status, 202);
    let location = upload.all("location")[0].to_owned();
    let target = &location[location.find("/v2/").unwrap()..];
    let length = format!("Content-Length: {SIZE}");
    client.send(http1::head(&format!("PUT {target}&digest={digest}"), &[AUTH, &length]));
    let (first, second) = blob.split_at(SIZE / 2);
    client.send(first);
    tidegate.signal(Signal::TERM);
    tidegate.log.wait_for("the signal", |line| line.contains("draining"));
    let start = Instant::now();
    while let Ok(socket) = TcpStream::connect(tidegate.address) {
        ends_within(&socket, Duration::from_millis(100));
        assert!(start.elapsed() < DEADLINE, "the listener stays open");
    }
    assert!(tidegate.is_running(), "it does not wait for the push");
    client.send(second);
    let pushed = client.response(false).unwrap();
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    assert_eq!(pushed.all("docker-content-digest"), [digest]);
    drop(client);
    assert_eq!(tidegate.wait().code(), Some(0));
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", path),
        ("authorization", BASIC),
    ];
    frames::head(stream, frames::END_STREAM, &fields).bytes()
}

/// The last stream that the server answers, from its second GOAWAY. The first one only announces it
/// (RFC 9113 section 6.8).
fn last_stream(frames: &mut Frames) -> u32 {
    loop {
        let frame = frames.next().unwrap().expect("it goes away in order");
        let first = frame.payload.get(..4).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap()));
        match (frame.kind, first) {
            (frames::GOAWAY, Some(last)) if last & 0x7fff_ffff < 0x7fff_ffff => return last & 0x7fff_ffff,
            (frames::PING, _) if frame.flags & frames::ACK == 0 => {
                let answer = Frame::new(frames::PING, frames::ACK, 0, &frame.payload);
                frames.tls.send(&answer.bytes()).unwrap();
            }
            _ => {}
        }
    }
}

#[test]
fn streams_after_goaway_are_ignored_and_the_running_transfer_arrives_whole() {
    let (send, rest) = channel();
    let (report, requests) = channel();
    let (report, rest) = (Mutex::new(report), Mutex::new(rest));
    let registry = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            report.lock().unwrap().send(head[0].clone()).unwrap();
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            let _ = rest.lock().unwrap().recv_timeout(DEADLINE);
            conversation.write(b" rest");
        }
    });
    let mut tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let mut tls = Tls::connect(&tidegate, "h2");
    let settings = Frame::new(frames::SETTINGS, 0, 0, &[]).bytes();
    tls.send(&[frames::PREFACE, &settings, &get(1, BLOB)].concat()).unwrap();
    let mut client = Frames::over(tls);
    while client.next().unwrap().expect("an answer").kind != frames::DATA {}
    tidegate.signal(Signal::TERM);
    assert_eq!(last_stream(&mut client), 1);
    for stream in [3, 5, 7] {
        client.tls.send(&get(stream, "/v2/late/tags/list")).unwrap();
    }
    // The server answers this after it has read the late streams.
    client.tls.send(&Frame::new(frames::PING, 0, 0, b"are seen").bytes()).unwrap();
    while client.next().unwrap().expect("an answer to the ping").payload != b"are seen" {}
    send.send(()).unwrap();
    let data: Vec<Frame> = std::iter::from_fn(|| client.next().unwrap()).collect();
    let body: Vec<u8> = data
        .iter()
        .filter(|frame| frame.kind == frames::DATA)
        .flat_map(|frame| {
            assert_eq!(frame.stream, 1, "a late stream is answered");
            frame.payload.clone()
        })
        .collect();
    assert_eq!(String::from_utf8_lossy(&body), " rest", "{data:?}");
    assert!(data.iter().any(|frame| frame.stream == 1 && frame.ends_stream()), "{data:?}");
    assert!(data.iter().all(|frame| frame.stream <= 1 || frame.kind == frames::RST_STREAM), "{data:?}");
    assert_eq!(tidegate.wait().code(), Some(0));
    let requests: Vec<String> = requests.try_iter().collect();
    assert_eq!(requests, [format!("GET {BLOB} HTTP/1.1")]);
    assert_eq!(tidegate.access.to_end().len(), 1);
}
