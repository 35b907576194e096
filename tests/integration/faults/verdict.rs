//! What a client may see of a fault, and what tidegate must say about it.

use super::catalogue::Ask;
use crate::harness::http1::Response;
use crate::harness::tidegate::Tidegate;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The registry's answer, whole, with this status and body.
    Whole(u16, &'static str),
    /// An error of tidegate's own with this status.
    Own(u16),
    /// The beginning of the registry's answer, visibly cut: over HTTP/1.1 the connection ends
    /// without the missing bytes or the last chunk, over HTTP/2 the stream is reset.
    Broken,
}

/// What the client has seen.
#[derive(Debug)]
pub struct Seen {
    pub response: Response,
    /// Over HTTP/1.1: whether the connection has ended after the answer.
    pub ended: bool,
}

impl Seen {
    pub fn is_sound(&self, server: &str) -> bool {
        self.response.all("X-Sound") == [server]
    }
}

impl Verdict {
    /// Panics unless the client has seen this.
    pub fn judge(self, fault: &str, ask: Ask, seen: &Seen) {
        let response = &seen.response;
        let versions = response.all("Docker-Distribution-Api-Version");
        assert_eq!(versions, ["registry/2.0"], "{fault}: {response:?}");
        match self {
            Self::Whole(status, body) => {
                assert_eq!((response.status, response.text().as_str()), (status, body), "{fault}");
                assert!(response.complete, "{fault}: {response:?}");
            }
            Self::Own(status) => {
                assert_eq!(response.status, status, "{fault}: {response:?}");
                assert!(response.complete, "{fault}: {response:?}");
                assert_eq!(response.all("Content-Type"), ["application/json"], "{fault}");
                if ask != Ask::Head {
                    assert_eq!(response.error_code(), "UNAVAILABLE", "{fault}");
                }
            }
            Self::Broken => {
                assert_eq!(response.status, 200, "{fault}: {response:?}");
                assert!(!response.complete, "{fault} looks whole: {response:?}");
                assert!(seen.ended, "{fault}: the connection goes on after a truncated body");
            }
        }
    }

    /// Panics unless the logs blame the registry. `agent` is the client's, and `reason` the words
    /// of the own log.
    pub fn assert_logged(self, fault: &str, tidegate: &Tidegate, agent: &str, reason: &str) {
        let line = tidegate.access.wait_for(fault, |line| line.contains(agent));
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(line["upstream"].is_string(), "{fault}: {line}");
        match self {
            Self::Whole(status, _) => {
                assert_eq!(line["status"], status, "{fault}: {line}");
                assert!(line["cut"].is_null(), "{fault}: {line}");
            }
            Self::Own(status) => {
                assert_eq!(line["status"], status, "{fault}: {line}");
                tidegate.log.wait_for(fault, |line| line.contains(reason));
            }
            Self::Broken => assert_eq!(line["cut"], "upstream", "{fault}: {line}"),
        }
    }
}
