//! Stalled clients are disconnected within their limit, and do not disturb others.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::harness::fake::Fake;
use crate::harness::frames::{self, Frame, Frames};
use crate::harness::http1::{self, Client};
use crate::harness::recorder::{Recorder, State};
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::{DEADLINE, http2};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// tidegate's time limits in these tests, and the tolerance for a busy machine. With a default
/// limit or none, no connection would end in that time.
const LIMIT: &str = r#""1s""#;
const AT_MOST: Duration = Duration::from_secs(9);

fn impatient(upstream: &str) -> Tidegate {
    let settings = Settings::for_upstream(upstream)
        .set("limits.handshake_timeout", LIMIT)
        .set("limits.header_timeout", LIMIT)
        .set("limits.idle_timeout", LIMIT);
    Tidegate::start(settings)
}

fn recorded() -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let tidegate = impatient(&recorder.url());
    (recorder, tidegate)
}

/// The first half of a TLS ClientHello.
fn half_a_hello(tidegate: &Tidegate) -> Vec<u8> {
    let name = "localhost".try_into().unwrap();
    let config = tidegate.settings.authority.client(&["h2", "http/1.1"]);
    let mut hello = Vec::new();
    rustls::ClientConnection::new(config, name).unwrap().write_tls(&mut hello).unwrap();
    hello.truncate(hello.len() / 2);
    hello
}

/// The time until the server closes the connection.
fn time_to_end(mut socket: TcpStream) -> Duration {
    let start = Instant::now();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut buffer = [0; 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(1..) => {}
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return DEADLINE,
            Ok(0) | Err(_) => return start.elapsed(),
        }
    }
}

fn assert_ends(mut tls: Tls) -> Vec<u8> {
    let start = Instant::now();
    let said = tls.receive_to_end();
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    said
}

#[test]
fn a_silent_client_is_disconnected() {
    let (_recorder, tidegate) = recorded();
    let time = time_to_end(TcpStream::connect(tidegate.address).unwrap());
    assert!(time < AT_MOST, "{time:?}");
}

#[test]
fn a_client_that_stops_within_the_tls_hello_is_disconnected() {
    let (_recorder, tidegate) = recorded();
    let mut socket = TcpStream::connect(tidegate.address).unwrap();
    socket.write_all(&half_a_hello(&tidegate)).unwrap();
    let time = time_to_end(socket);
    assert!(time < AT_MOST, "{time:?}");
}

#[test]
fn an_idle_connection_accepts_the_rest_of_a_head_that_was_begun() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("limits.handshake_timeout", LIMIT);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    let head = http1::head("GET /v2/", &[AUTH]);
    let (begun, rest) = head.split_at(head.len() / 2);
    client.send(begun);
    // When another idle connection has ended, this one has been idle long enough.
    assert_ends(Tls::connect(&tidegate, "http/1.1"));
    client.send(rest);
    assert_eq!(client.response(false).unwrap().status, 200);
}

/// A connection rests when it has been idle for a moment, but not with requests that have arrived.
#[test]
fn requests_that_come_together_are_answered_at_once() {
    /// hyper answers 16 before others have their turn.
    const TOGETHER: usize = 200;
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()).set("server.threads", "1"));
    let refused = http1::head("GET /", &[]);
    for _ in 0..60 {
        let mut client = Client::connect(&tidegate);
        let begun = Instant::now();
        client.send(refused.repeat(TOGETHER));
        for _ in 0..TOGETHER {
            assert_eq!(client.response(false).unwrap().status, 404);
        }
        assert!(begun.elapsed() < AT_MOST, "answered after {:?}", begun.elapsed());
    }
}

#[test]
fn a_client_silent_after_the_handshake_is_disconnected() {
    let (_recorder, tidegate) = recorded();
    for protocol in ["http/1.1", "h2"] {
        assert_ends(Tls::connect(&tidegate, protocol));
    }
}

#[test]
fn a_client_that_only_sends_the_http2_preface_is_disconnected() {
    let (_recorder, tidegate) = recorded();
    for preface in [&frames::PREFACE[..10], frames::PREFACE] {
        let mut tls = Tls::connect(&tidegate, "h2");
        tls.send(preface).unwrap();
        assert_ends(tls);
    }
    let mut tls = Tls::connect(&tidegate, "h2");
    tls.send(&[frames::PREFACE, &Frame::new(frames::SETTINGS, 0, 0, &[]).bytes()].concat()).unwrap();
    assert_ends(tls);
}

#[test]
fn a_client_that_leaves_http2_headers_unfinished_is_disconnected() {
    let (_recorder, tidegate) = recorded();
    let mut tls = Tls::connect(&tidegate, "h2");
    let settings = Frame::new(frames::SETTINGS, 0, 0, &[]).bytes();
    // `:method: GET` in a header block whose END_HEADERS never arrives.
    let headers = Frame::new(frames::HEADERS, frames::END_STREAM, 1, &[0x82]).bytes();
    tls.send(&[frames::PREFACE, &settings, &headers].concat()).unwrap();
    assert_ends(tls);
}

#[test]
fn a_client_that_sends_a_head_byte_by_byte_is_disconnected() {
    let (recorder, tidegate) = recorded();
    let mut tls = Tls::connect(&tidegate, "http/1.1");
    tls.socket().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let head = http1::head("GET /v2/", &[AUTH, &format!("X-Long: {}", "a".repeat(500))]);
    let start = Instant::now();
    let mut buffer = [0; 1024];
    let mut bytes = head.bytes();
    loop {
        let sent = tls.send(&[bytes.next().expect("the limit comes before the end of the head")]);
        // The pause between two bytes also waits for the end of the connection.
        if sent.is_err() || tls.receive(&mut buffer).is_ok_and(|read| read == 0) {
            break;
        }
    }
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
    assert!(recorder.record().requests.is_empty());
}

#[test]
fn an_idle_kept_alive_connection_is_closed() {
    let (_recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    assert_ends(client.tls);

    let mut frames = Frames::over(Tls::connect(&tidegate, "h2"));
    let settings = Frame::new(frames::SETTINGS, 0, 0, &[]).bytes();
    // GET, https, / and no authority: refused, which is an ordinary answer here.
    let headers = Frame::new(frames::HEADERS, 5, 1, &[0x82, 0x87, 0x84]).bytes();
    frames.tls.send(&[frames::PREFACE, &settings, &headers].concat()).unwrap();
    loop {
        let frame = frames.next().unwrap().expect("an answer before the end");
        if frame.stream == 1 && (frame.ends_stream() || frame.kind == frames::RST_STREAM) {
            break;
        }
    }
    assert_ends(frames.tls);
}

#[test]
fn a_push_that_stops_is_ended() {
    let (recorder, tidegate) = recorded();
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Content-Length: 100"]));
    client.send(b"first");
    recorder.wait_for("the first bytes", |seen| seen.body == b"first");
    let start = Instant::now();
    recorder.wait_for("the end of the push", |seen| seen.state == State::Truncated);
    let said = String::from_utf8_lossy(&assert_ends(client.tls)).into_owned();
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
}

#[test]
fn a_push_over_http2_that_stops_is_ended_and_the_connection_goes_on() {
    let (recorder, tidegate) = recorded();
    let mut client = http2::Client::connect(&tidegate);
    let (answer, mut upload) = client.send(http2::request("PATCH", "localhost", UPLOAD, &[AUTH]), false);
    client.data(&mut upload, b"first", false).unwrap();
    recorder.wait_for("the first bytes", |seen| seen.body == b"first");
    let start = Instant::now();
    recorder.wait_for("the end of the push", |seen| seen.state == State::Truncated);
    match client.answer(answer) {
        Ok(answer) => assert_eq!(answer.status(), 408),
        Err(error) => assert!(error.is_reset() || error.is_go_away() || error.is_io(), "{error}"),
    }
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
}

/// A registry with an endless blob. It reports how many bytes were taken before the connection
/// ended.
fn endless() -> (Fake, Receiver<usize>) {
    let (gone, told) = channel();
    let gone = Mutex::new(gone);
    let fake = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if !head[0].starts_with(&format!("GET {BLOB}")) {
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                continue;
            }
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n");
            let mut sent = 0;
            while conversation.write(&[7; 1 << 16]) {
                sent += 1 << 16;
            }
            let _ = gone.lock().unwrap().send(sent);
            return;
        }
    });
    (fake, told)
}

#[test]
fn a_client_that_stops_reading_is_disconnected() {
    let (registry, told) = endless();
    let tidegate = impatient(&registry.url());
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    assert_eq!(client.head_only().unwrap().0, 200);
    let taken =
        told.recv_timeout(AT_MOST + Duration::from_secs(5)).expect("the registry connection is closed");
    assert!(taken < 48 << 20, "{taken} bytes were taken for a client that reads nothing");
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status, 200);
}

#[test]
fn a_client_with_a_closed_http2_window_is_disconnected() {
    let (registry, told) = endless();
    let tidegate = impatient(&registry.url());
    let mut client = http2::Client::connect_with(&tidegate, 1000);
    let (answer, _) = client.send(http2::request("GET", "localhost", BLOB, &[AUTH]), true);
    let answer = client.head(answer).unwrap();
    let taken =
        told.recv_timeout(AT_MOST + Duration::from_secs(5)).expect("the registry connection is closed");
    assert!(taken < 48 << 20, "{taken} bytes were taken for a client that reads nothing");
    drop(answer);
}

#[test]
fn a_client_that_opens_its_http2_window_in_small_steps_stays_connected() {
    const STEP: usize = 4 << 10;
    const ENOUGH: usize = 320 << 10;
    let (registry, _told) = endless();
    let settings = Settings::for_upstream(&registry.url()).set("limits.idle_timeout", r#""2s""#);
    let tidegate = Tidegate::start(settings);
    let mut frames = Frames::over(Tls::connect(&tidegate, "h2"));
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", BLOB),
        ("authorization", crate::harness::BASIC),
    ];
    // SETTINGS_INITIAL_WINDOW_SIZE
    let window = [&[0, 4][..], &(STEP as u32).to_be_bytes()].concat();
    let opened = |stream: u32, bytes: usize| {
        Frame::new(frames::WINDOW_UPDATE, 0, stream, &(bytes as u32).to_be_bytes()).bytes()
    };
    let asked = [
        frames::PREFACE.to_vec(),
        Frame::new(frames::SETTINGS, 0, 0, &window).bytes(),
        opened(0, 1 << 30),
        frames::head(1, frames::END_STREAM, &fields).bytes(),
    ];
    frames.tls.send(&asked.concat()).unwrap();
    frames.tls.socket().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (mut taken, mut room) = (0, STEP);
    while taken < ENOUGH {
        match frames.next() {
            Ok(Some(frame)) if frame.kind == frames::DATA => {
                taken += frame.payload.len();
                room -= frame.payload.len();
            }
            Ok(Some(frame)) => {
                assert!(frame.kind != frames::RST_STREAM && frame.kind != frames::GOAWAY, "{frame:?}");
            }
            Ok(None) => panic!("the connection ends after {taken} bytes"),
            // Each step sends forty times the minimum rate, since nothing more fits through the
            // window.
            Err(_) if room == 0 => {
                frames.tls.send(&opened(1, STEP)).unwrap();
                room = STEP;
            }
            Err(_) => {}
        }
    }
}

#[test]
fn a_push_below_the_minimum_rate_is_ended() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("limits.idle_timeout", r#""50s""#);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Content-Length: 100000"]));
    client.tls.socket().set_read_timeout(Some(Duration::from_millis(250))).unwrap();
    let start = Instant::now();
    let mut buffer = [0; 1024];
    // 80 bytes per second, where the minimum is 500, checked from the twentieth second on.
    while client.tls.send(&[7; 20]).is_ok() {
        if client.tls.receive(&mut buffer).is_ok() {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(45), "the slow push is not ended");
    }
    recorder.wait_for("the end of the push", |seen| seen.state == State::Truncated);
}

#[test]
fn fifty_stalled_clients_do_not_disturb_others() {
    let recorder = Recorder::start();
    // With the default limits, they all stay connected for the length of the test.
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let mut sockets = Vec::new();
    let mut connections = Vec::new();
    for _ in 0..10 {
        sockets.push(TcpStream::connect(tidegate.address).unwrap());
        let mut half = TcpStream::connect(tidegate.address).unwrap();
        half.write_all(&half_a_hello(&tidegate)).unwrap();
        sockets.push(half);
        connections.push(Tls::connect(&tidegate, "http/1.1"));
        let mut preface = Tls::connect(&tidegate, "h2");
        preface.send(frames::PREFACE).unwrap();
        connections.push(preface);
        let mut push = Tls::connect(&tidegate, "http/1.1");
        push.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Content-Length: 100"]).as_bytes())
            .unwrap();
        connections.push(push);
    }
    assert_eq!(sockets.len() + connections.len(), 50);
    let start = Instant::now();
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status, 200);
    let mut client = http2::Client::connect(&tidegate);
    assert_eq!(client.exchange(http2::request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    for socket in sockets {
        let _ = socket.shutdown(Shutdown::Both);
    }
}
