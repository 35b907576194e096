//! HTTP/2 clients that send floods of small frames. Their connection ends within a limit, memory
//! does not grow, and another client of the same worker is served meanwhile.

use std::time::{Duration, Instant};

use crate::harness::BASIC;
use crate::harness::frames::{self, Frame, Frames};
use crate::harness::http1::Client;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const PRIORITY: u8 = 2;
const CONTINUATION: u8 = 9;
/// An undefined type of frame, which has to be ignored (RFC 9113 section 4.1).
const UNKNOWN: u8 = 0xbe;
const CANCEL: u32 = 8;
const ENHANCE_YOUR_CALM: u32 = 11;
/// How long a flood may last on a busy machine. Each limit is a second, and tidegate reads a closed
/// connection for two more.
const AT_MOST: Duration = Duration::from_secs(15);
/// KiB by which memory may grow during a flood.
const MEMORY: u64 = 8 << 10;

fn on_one_core(recorder: &Recorder) -> Tidegate {
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.threads", "1")
        .set("limits.handshake_timeout", r#""1s""#)
        .set("limits.idle_timeout", r#""1s""#)
        .set("limits.header_timeout", r#""60s""#);
    Tidegate::start(settings)
}

fn greet(tidegate: &Tidegate) -> Frames {
    let mut tls = Tls::connect(tidegate, "h2");
    let settings = Frame::new(frames::SETTINGS, 0, 0, &[]);
    tls.send(&[frames::PREFACE, &settings.bytes()].concat()).unwrap();
    Frames::over(tls)
}

fn request(stream: u32) -> Frame {
    let fields = [
        (":method", "GET"),
        (":scheme", "https"),
        (":authority", "localhost"),
        (":path", "/v2/"),
        ("authorization", BASIC),
    ];
    frames::head(stream, frames::END_STREAM, &fields)
}

/// Sends the pieces of a flood until the connection ends, while another client is served. Returns
/// the error code of the GOAWAY, if one could be read.
fn endure(
    tidegate: &Tidegate,
    mut attacker: Frames,
    reads: bool,
    flood: impl Fn(u32) -> Vec<u8> + Sync,
) -> Option<u32> {
    let mut other = Client::connect(tidegate);
    assert_eq!(other.exchange("GET /v2/", &[AUTH]).status, 200);
    let before = tidegate.resident_kib();
    let (pieces, reason) = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let start = Instant::now();
            let mut reason = None;
            let mut pieces = 0;
            while attacker.tls.send(&flood(pieces)).is_ok() {
                pieces += 1;
                assert!(start.elapsed() < AT_MOST, "still open after {pieces} pieces");
                if reads {
                    reason = reason.or(read_goaway(&mut attacker));
                }
            }
            (pieces, reason.or(read_goaway(&mut attacker)))
        });
        while !flooding.is_finished() {
            let start = Instant::now();
            assert_eq!(other.exchange("GET /v2/", &[AUTH]).status, 200);
            assert!(start.elapsed() < Duration::from_secs(5), "served after {:?}", start.elapsed());
        }
        flooding.join().unwrap()
    });
    let growth = tidegate.resident_kib().saturating_sub(before);
    assert!(growth < MEMORY, "grown by {growth} KiB after {pieces} pieces");
    assert_eq!(other.exchange("GET /v2/", &[AUTH]).status, 200);
    reason
}

/// Reads all frames that have arrived. Returns the error code of a GOAWAY among them.
fn read_goaway(attacker: &mut Frames) -> Option<u32> {
    let now = Duration::from_millis(1);
    attacker.tls.socket().set_read_timeout(Some(now)).unwrap();
    let mut reason = None;
    while let Ok(Some(frame)) = attacker.next() {
        if frame.kind == frames::GOAWAY {
            reason = frame.payload.get(4..8).map(|code| u32::from_be_bytes(code.try_into().unwrap()));
        }
    }
    reason
}

#[test]
fn streams_that_are_reset_as_soon_as_they_are_opened_end_their_connection() {
    /// In one write, so that they arrive faster than they are handled.
    const PAIRS: u32 = 100;
    let recorder = Recorder::start();
    let tidegate = on_one_core(&recorder);
    let reason = endure(&tidegate, greet(&tidegate), true, |piece| {
        let pair = |pair: u32| {
            let stream = 2 * (piece * PAIRS + pair) + 1;
            let reset = Frame::new(frames::RST_STREAM, 0, stream, &CANCEL.to_be_bytes());
            [request(stream).bytes(), reset.bytes()].concat()
        };
        (0..PAIRS).flat_map(pair).collect()
    });
    assert_eq!(reason, Some(ENHANCE_YOUR_CALM));
}

#[test]
fn a_head_that_never_ends_ends_its_connection() {
    let recorder = Recorder::start();
    for length in [0, 1, 1024] {
        let tidegate = on_one_core(&recorder);
        let mut attacker = greet(&tidegate);
        let mut first = request(1);
        first.flags = 0;
        attacker.tls.send(&first.bytes()).unwrap();
        let piece = Frame::new(CONTINUATION, 0, 1, &vec![0; length]).bytes();
        let reason = endure(&tidegate, attacker, true, |_| piece.clone());
        assert!(reason.is_some(), "frames of {length} bytes");
    }
}

/// Sends many copies of `frame` in each write, so that the client has less work than the server.
fn endure_frames(frame: &Frame, reads: bool) {
    let recorder = Recorder::start();
    let tidegate = on_one_core(&recorder);
    let piece = frame.bytes().repeat(100);
    endure(&tidegate, greet(&tidegate), reads, |_| piece.clone());
}

#[test]
fn frames_that_need_no_answer_keep_no_connection_open() {
    for frame in [Frame::new(PRIORITY, 0, 1, &[0, 0, 0, 0, 1]), Frame::new(UNKNOWN, 0, 0, &[7; 64])] {
        eprintln!("frames of kind {}", frame.kind);
        endure_frames(&frame, false);
    }
}

#[test]
fn frames_that_are_answered_keep_no_connection_open() {
    for frame in [Frame::new(frames::SETTINGS, 0, 0, &[]), Frame::new(frames::PING, 0, 0, &[7; 8])] {
        for reads in [false, true] {
            eprintln!("frames of kind {}, answers are read: {reads}", frame.kind);
            endure_frames(&frame, reads);
        }
    }
}
