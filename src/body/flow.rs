//! The running account of one request.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use super::FairQueue;

/// What a client did wrong while its request body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// The framing of the body is broken, or its trailers are.
    Malformed,
    /// The connection or the stream ended before the body did.
    Gone,
    /// More bytes than the kind of request may have.
    TooLarge,
    /// No byte within the idle time, or fewer than the minimum rate.
    TooSlow,
}

/// Bytes that one request moves before it waits for its next turn among the others of its core.
const TURN: u64 = 384 * 1024;

/// What one request has moved so far. Its bodies write it; its log line, its time limits and the
/// wait for the answer read it.
#[derive(Debug)]
pub(crate) struct Flow {
    bytes_in: Cell<u64>,
    bytes_out: Cell<u64>,
    fault: Cell<Option<ClientFault>>,
    upload_moved: Cell<Instant>,
    waits_for_upload: Cell<bool>,
    waits_for_download: Cell<bool>,
    turn: Cell<u64>,
    turns: Rc<FairQueue>,
    /// The number of the turn it waits for.
    awaited: Cell<Option<u64>>,
}

impl Flow {
    /// `turns` are those of its core.
    pub(crate) fn new(turns: Rc<FairQueue>) -> Self {
        Self {
            bytes_in: Cell::new(0),
            bytes_out: Cell::new(0),
            fault: Cell::new(None),
            upload_moved: Cell::new(Instant::now()),
            waits_for_upload: Cell::new(false),
            waits_for_download: Cell::new(false),
            turn: Cell::new(0),
            turns,
            awaited: Cell::new(None),
        }
    }

    /// Bytes of the request body, framing not counted.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }

    /// Bytes of the response body handed to the client's connection, framing not counted.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.bytes_out.get()
    }

    /// What the client did wrong in its body, if anything.
    pub(crate) fn fault(&self) -> Option<ClientFault> {
        self.fault.get()
    }

    /// Whether the response waits for the client to take what it was given.
    pub(crate) fn waits_for_download(&self) -> bool {
        self.waits_for_download.get()
    }

    /// How long the upstream has had everything there is of the request. Zero while the client is the one who is waited for.
    pub(crate) fn upstream_silence(&self) -> Duration {
        if self.waits_for_upload.get() { Duration::ZERO } else { self.upload_moved.get().elapsed() }
    }

    /// Whether the request has moved enough for now. Then its body is to return `Pending`, and is polled again when it is
    /// its turn.
    pub(crate) fn yields(&self, cx: &Context<'_>) -> bool {
        if self.awaited.get().is_none() && self.turn.get() < TURN {
            return false;
        }
        let number = self.awaited.get().unwrap_or_else(|| self.turns.queue(cx));
        if self.turns.has_given(number, cx) {
            self.awaited.set(None);
            self.turn.set(0);
            return false;
        }
        self.awaited.set(Some(number));
        true
    }

    /// Waits for a turn of its own, before something that takes as long as one.
    pub(crate) async fn next_turn(&self) {
        self.turn.set(TURN);
        poll_fn(|cx| if self.yields(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    /// Takes down `bytes` of response body given to the client's connection, which now has to send them.
    pub(crate) fn delivered(&self, bytes: u64) {
        self.bytes_out.set(self.bytes_out.get() + bytes);
        self.turn.set(self.turn.get() + bytes);
        self.waits_for_download.set(true);
    }

    /// Takes down that the client's connection asks for more of the response.
    pub(crate) fn asked_for_more(&self) {
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
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn after_its_turn_a_request_waits_for_the_next() {
        let (turns, cx) = (Rc::new(FairQueue::default()), Context::from_waker(Waker::noop()));
        let (first, second) = (Flow::new(turns.clone()), Flow::new(turns.clone()));
        first.delivered(TURN / 2);
        first.received(TURN / 2 - 1);
        assert!(!first.yields(&cx));
        first.delivered(1);
        second.delivered(TURN);
        assert!(first.yields(&cx) && second.yields(&cx) && first.yields(&cx));

        let mut giving = pin!(turns.give());
        assert!(giving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(second.yields(&cx) && !first.yields(&cx) && !first.yields(&cx));
        tokio::task::yield_now().await;
        assert!(giving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(!second.yields(&cx));
        second.delivered(TURN);
        assert!(second.yields(&cx));
    }

    #[tokio::test]
    async fn a_request_that_has_moved_nothing_can_wait_for_a_turn_too() {
        let turns = Rc::new(FairQueue::default());
        let flow = Flow::new(turns.clone());
        let (mut giving, mut waiting) = (pin!(turns.give()), pin!(flow.next_turn()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert!(giving.as_mut().poll(&mut cx).is_pending());
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
    }
}
