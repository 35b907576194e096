//! Plays a record and collects what both sides saw.

use std::time::Duration;

use super::{Expect, Proto, Record};
use crate::harness::admin;
use crate::harness::frames::{self, Frame, Frames};
use crate::harness::http1::{self, Client, authorized};
use crate::harness::recorder::{Recorder, Seen};
use crate::harness::tidegate::Tidegate;
use crate::harness::tls::Tls;

/// The outcome of a record.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The statuses of the final answers, in order.
    pub answers: Vec<u16>,
    /// The statuses of the interim answers.
    pub interim: Vec<u16>,
    /// Either side reset the HTTP/2 stream, or a GOAWAY ended the connection.
    pub reset: bool,
    /// The server ended the connection.
    pub ended: bool,
    /// The requests that the registry saw.
    pub seen: Vec<Seen>,
    /// Everything that was not canonical at the registry.
    pub faults: Vec<String>,
    /// The registry was left waiting for the rest of a request.
    pub unsettled: bool,
}

/// A tidegate and its registry, for one record at a time.
pub struct Stage {
    pub tidegate: Tidegate,
    recorder: Recorder,
}

/// Longer than every time limit of the stage's tidegate.
const PATIENCE: Duration = Duration::from_secs(15);
const BARRIER: &str = "x-barrier";

impl Stage {
    pub fn start() -> Stage {
        let recorder = Recorder::of_clients();
        let settings = admin::settings(&recorder.url())
            .set("server.threads", "1")
            .set("upstream.authorization", r#""pass""#)
            .set("limits.handshake_timeout", r#""2s""#)
            .set("limits.header_timeout", r#""2s""#)
            .set("limits.idle_timeout", r#""2s""#);
        Stage { tidegate: Tidegate::start(settings), recorder }
    }

    pub fn play(&self, record: &Record) -> Outcome {
        let raw: Vec<u8> = record.raw.chars().map(|char| u8::try_from(u32::from(char)).unwrap()).collect();
        let mut outcome = match record.proto {
            Proto::H1 => self.play_http1(record, &raw),
            Proto::H2 => self.play_http2(&raw),
        };
        self.pass_barrier();
        let settled = self.recorder.settle();
        outcome.unsettled = settled.is_err();
        let (Ok(seen) | Err(seen)) = settled;
        outcome.seen = seen.requests.into_iter().filter(|seen| seen.all(BARRIER).is_empty()).collect();
        outcome.faults = seen.faults;
        outcome
    }

    fn play_http1(&self, record: &Record, raw: &[u8]) -> Outcome {
        let mut client = Client::over(self.connect("http/1.1"));
        let mut outcome = Outcome::default();
        let expected = if record.expect == Expect::Ok { record.max_upstream } else { 1 };
        // Where the server must end the connection, or might read a second request that hides in
        // the first, the client waits for the end.
        let left_to_server = record.close || record.eof || record.raw.contains("smuggled");
        let _ = client.tls.send(raw);
        if record.eof {
            client.tls.finish();
        }
        loop {
            match client.response(record.method == "HEAD") {
                Ok(response) => {
                    outcome.answers.push(response.status);
                    outcome.interim.extend(response.interim);
                    if outcome.answers.len() == expected && !left_to_server {
                        client.tls.finish();
                    }
                }
                Err(error) => {
                    outcome.ended = error.kind() != std::io::ErrorKind::WouldBlock;
                    return outcome;
                }
            }
        }
    }

    fn play_http2(&self, raw: &[u8]) -> Outcome {
        let mut connection = Frames::over(self.connect("h2"));
        let mut outcome = Outcome::default();
        let (stream, cancelled) = described(raw);
        let _ = connection.tls.send(raw);
        if cancelled {
            // The stream gets no answer. The answer to a ping shows that it was processed.
            let _ = connection.tls.send(&Frame::new(frames::PING, 0, 0, &[0; 8]).bytes());
        }
        loop {
            let frame = match connection.next() {
                Ok(Some(frame)) => frame,
                end => {
                    outcome.ended = end.is_ok();
                    return outcome;
                }
            };
            match frame.kind {
                frames::GOAWAY => outcome.reset = true,
                frames::RST_STREAM if frame.stream == stream => {
                    outcome.reset = true;
                    return outcome;
                }
                frames::PING if frame.flags & frames::ACK != 0 => {
                    outcome.reset = true;
                    return outcome;
                }
                frames::HEADERS if frame.stream == stream && outcome.answers.is_empty() => {
                    let status = frames::first_status(&frame).expect("an answer has a status");
                    if status < 200 { &mut outcome.interim } else { &mut outcome.answers }.push(status);
                }
                _ => {}
            }
            if frame.stream == stream && frame.ends_stream() {
                return outcome;
            }
        }
    }

    /// Sends a separate request on a new connection. When it is answered, everything before it has
    /// been processed.
    fn pass_barrier(&self) {
        let mut client = Client::over(self.connect("http/1.1"));
        client.send(http1::head("GET /v2/", &[&authorized(), "X-Barrier: 1", "Connection: close"]));
        assert_eq!(client.response(false).expect("tidegate still answers").status, 200);
    }

    fn connect(&self, protocol: &str) -> Tls {
        let tls = Tls::connect(&self.tidegate, protocol);
        tls.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        tls
    }
}

/// The stream of a raw HTTP/2 record, and whether the record itself cancels it.
fn described(raw: &[u8]) -> (u32, bool) {
    let mut rest = raw.strip_prefix(frames::PREFACE).expect("the record begins with the preface").to_vec();
    let frames: Vec<Frame> = std::iter::from_fn(|| Frame::take(&mut rest)).collect();
    let asked =
        frames.iter().find(|frame| frame.kind == frames::HEADERS).expect("the record contains a request");
    (asked.stream, frames.iter().any(|frame| frame.kind == frames::RST_STREAM))
}
