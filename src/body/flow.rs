//! The running account of one request.

use std::cell::Cell;
use std::task::Context;
use std::time::Duration;

use tokio::time::Instant;

/// What a client did wrong while its request body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientFault {
    /// The framing of the body is broken, or its trailers are.
    Malformed,
    /// The connection or the stream ended before the body did.
    Gone,
    /// More bytes than the kind of request may have.
    TooLarge,
    /// No byte within the idle time, or fewer than the minimum rate.
    TooSlow,
}

/// Bytes that one request moves before others of its core have their turn. It goes on at once when there are none.
const TURN: u64 = 256 * 1024;

/// What one request has moved so far. Its bodies write it; its log line, its time limits and the
/// wait for the answer read it.
#[derive(Debug)]
pub struct Flow {
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    fault: Cell<Option<ClientFault>>,
    upload_moved: Cell<Instant>,
    waits_for_upload: Cell<bool>,
    waits_for_download: Cell<bool>,
    turn: Cell<u64>,
    yielded: Cell<bool>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            fault: Cell::new(None),
            upload_moved: Cell::new(Instant::now()),
            waits_for_upload: Cell::new(false),
            waits_for_download: Cell::new(false),
            turn: Cell::new(0),
            yielded: Cell::new(false),
        }
    }
}

impl Flow {
    /// Bytes of the request body, framing not counted.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }

    /// Bytes of the response body handed to the client's connection, framing not counted.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.get()
    }

    /// What the client did wrong in its body, if anything.
    pub fn fault(&self) -> Option<ClientFault> {
        self.fault.get()
    }

    /// Whether the response waits for the client to take what it was given.
    pub fn waits_for_download(&self) -> bool {
        self.waits_for_download.get()
    }

    /// How long the upstream has had everything there is of the request. Zero while the client is the one who is waited for.
    pub fn upstream_silence(&self) -> Duration {
        if self.waits_for_upload.get() { Duration::ZERO } else { self.upload_moved.get().elapsed() }
    }

    /// Whether the request has moved enough for now. Then its body is to return `Pending`, and is polled again when others
    /// have had their turn.
    pub fn yields(&self, cx: &Context<'_>) -> bool {
        let yields = self.turn.get() >= TURN;
        if yields {
            self.turn.set(0);
            self.yielded.set(true);
            cx.waker().wake_by_ref();
        }
        yields
    }

    /// Whether it has given others their turn since this was last asked, and so will go on by itself.
    pub fn take_yielded(&self) -> bool {
        self.yielded.take()
    }

    /// Takes down `bytes` of response body given to the client's connection, which now has to send them.
    pub fn delivered(&self, bytes: u64) {
        self.bytes_out.set(self.bytes_out.get() + bytes);
        self.turn.set(self.turn.get() + bytes);
        self.waits_for_download.set(true);
    }

    /// Takes down that the client's connection asks for more of the response.
    pub fn asked_for_more(&self) {
        self.waits_for_download.set(false);
    }

    pub(super) fn received(&self, bytes: u64) {
        self.bytes_in.set(self.bytes_in.get() + bytes);
        self.turn.set(self.turn.get() + bytes);
        self.upload_moved.set(Instant::now());
        self.waits_for_upload.set(false);
    }

    pub(super) fn waits_for_upload(&self, waits: bool) {
        if self.waits_for_upload.replace(waits) && !waits {
            self.upload_moved.set(Instant::now());
        }
    }

    pub(super) fn fail(&self, fault: ClientFault) {
        self.waits_for_upload.set(false);
        self.fault.set(Some(fault));
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn after_its_turn_a_request_lets_others_go_first_once() {
        let (flow, cx) = (Flow::default(), Context::from_waker(Waker::noop()));
        flow.delivered(TURN / 2);
        flow.received(TURN / 2 - 1);
        assert!(!flow.yields(&cx) && !flow.take_yielded());
        flow.delivered(1);
        assert!(flow.yields(&cx) && !flow.yields(&cx));
        assert!(flow.take_yielded() && !flow.take_yielded());
    }
}
