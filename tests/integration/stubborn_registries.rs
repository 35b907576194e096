//! Registries that do not read a request body, and who is blamed for it.

use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use crate::harness::DEADLINE;
use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client};
use crate::harness::http2;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";

/// Sends a body as clients do that watch for an early answer: until everything is sent, or an
/// answer arrives.
fn push(client: &mut Client, size: usize, chunked: bool) {
    const PIECE: usize = 256 << 10;
    for _ in 0..size / PIECE {
        let mut piece = if chunked { format!("{PIECE:X}\r\n").into_bytes() } else { Vec::new() };
        piece.resize(piece.len() + PIECE, 7);
        if chunked {
            piece.extend(b"\r\n");
        }
        if client.tls.send(&piece).is_err() || client.tls.has_news() {
            return;
        }
    }
}

#[test]
fn the_answer_of_a_registry_that_refuses_a_large_upload_and_closes_is_passed_on() {
    const SIZE: usize = 8 << 20;
    for answer in [
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnope",
        "HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nfull",
    ] {
        let registry = Fake::scripted(answer, true);
        let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
        let expected = (answer[9..12].parse().unwrap(), &answer[answer.len() - 4..]);
        for (framing, chunked) in
            [(format!("Content-Length: {SIZE}"), false), ("Transfer-Encoding: chunked".to_owned(), true)]
        {
            for turn in 1..=30 {
                let mut client = Client::connect(&tidegate);
                client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, &framing]));
                push(&mut client, SIZE, chunked);
                let response = client.response(false).unwrap_or_else(|error| panic!("turn {turn}: {error}"));
                assert_eq!((response.status, response.text().as_str()), expected, "{framing}, turn {turn}");
            }
        }
    }
}

/// A registry that does not read uploads. Of an upload it reads the head, and the rest when the
/// test says so; then it reports the length of the rest. It answers all other requests.
struct Deaf {
    fake: Fake,
    begun: Receiver<()>,
    listen: Sender<()>,
    ended: Receiver<usize>,
}

impl Deaf {
    fn start() -> Deaf {
        let ((begin, begun), (listen, told), (end, ended)) = (channel(), channel::<()>(), channel());
        let (begin, told, end) = (Mutex::new(begin), Mutex::new(told), Mutex::new(end));
        let fake = Fake::start(move |conversation| {
            while let Some(head) = conversation.read_head() {
                if head[0].starts_with("PATCH") {
                    let _ = begin.lock().unwrap().send(());
                    let _ = told.lock().unwrap().recv();
                    let mut received = 0;
                    while let Some(bytes) = conversation.read_some() {
                        received += bytes.len();
                    }
                    let _ = end.lock().unwrap().send(received);
                    return;
                }
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
            }
        });
        Deaf { fake, begun, listen, ended }
    }
}

#[test]
fn uploads_that_wait_for_the_registry_do_not_time_out() {
    const SIZE: usize = 16 << 20;
    let registry = Deaf::start();
    let settings = Settings::for_upstream(&registry.fake.url()).set("limits.idle_timeout", r#""2s""#);
    let tidegate = Tidegate::start(settings);
    let mut client = http2::Client::connect(&tidegate);
    let mut answers = Vec::new();
    for number in 1..=8 {
        let (answer, upload) = client.send(http2::request("PATCH", "localhost", UPLOAD, &[AUTH]), false);
        answers.push(answer);
        let sent = client.feed(upload, SIZE);
        registry.begun.recv_timeout(DEADLINE).expect("the upload reaches the registry");
        // The earlier uploads keep their share of the connection's window, so this one gets stuck
        // next.
        let mut still = 0;
        let mut before = 0;
        while still < 20 {
            assert_eq!(client.exchange(http2::request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
            let now = sent.load(Ordering::SeqCst);
            still = if now == before { still + 1 } else { 0 };
            before = now;
        }
        assert!(before < SIZE, "upload {number} was taken completely although nobody reads it");
    }
    let early = client.first_answer(&mut answers, Duration::from_secs(5));
    assert!(early.is_none(), "an upload was ended while its client could not send: {early:?}");
    assert_eq!(client.exchange(http2::request("GET", "localhost", "/v2/", &[AUTH])).status(), 200);
}

#[test]
fn a_reset_by_the_client_is_noticed_while_the_registry_does_not_read() {
    let registry = Deaf::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.fake.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(
        &format!("PATCH {UPLOAD}"),
        &[AUTH, "User-Agent: leaver/1", "Content-Length: 10000000000"],
    ));
    registry.begun.recv_timeout(DEADLINE).expect("the upload reaches the registry");
    // A blocked rustls stream also tries to read before it gives up.
    let patience = Some(Duration::from_secs(1));
    client.tls.socket().set_write_timeout(patience).unwrap();
    client.tls.socket().set_read_timeout(patience).unwrap();
    while client.tls.send(&[7; 1 << 20]).is_ok() {}
    socket2::SockRef::from(client.tls.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    let start = std::time::Instant::now();
    drop(client);
    let line = tidegate.access.wait_for("its line", |line| line.contains("leaver/1"));
    assert!(line.contains(r#""cut":"client""#), "{line}");
    assert!(
        start.elapsed() < Duration::from_secs(15),
        "far below limits.idle_timeout: {:?}",
        start.elapsed()
    );
    registry.listen.send(()).unwrap();
    let received = registry.ended.recv_timeout(DEADLINE).expect("the registry connection is closed");
    assert!(received < 100 << 20, "{received} bytes");
}
