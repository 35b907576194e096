//! Turns among the transfers of one worker.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use tokio::task::yield_now;

use super::readers::Readers;
use crate::metrics::Counts;

/// Bytes of a response that h2 gets at once. h2 asks for more when it has nearly sent them, so this
/// is the step in which the progress of a client shows, and what one stream has waiting. With the
/// frame header of nine bytes (RFC 9113 section 4.1) it just fills a TLS record.
pub(crate) const HTTP2_PIECE: usize = 16 * 1024 - 9;

/// Bytes that a request moves before it waits for its next turn among the others of its worker, and
/// that are read of an answer at once: 384 KiB, in whole pieces.
pub(crate) const TURN: u64 = 24 * HTTP2_PIECE as u64;

/// The transfers of one worker that wait for their next turn, in order.
#[derive(Debug, Default)]
pub(crate) struct FairQueue {
    waiting: RefCell<VecDeque<Waker>>,
    /// The number of turns given so far.
    given: Cell<u64>,
    /// Wakes [`FairQueue::give`] when a transfer queues.
    giver: RefCell<Option<Waker>>,
    pub(super) readers: Readers,
    /// What the worker has counted.
    pub(super) counts: Arc<Counts>,
}

impl FairQueue {
    /// The queue of a worker that counts in `counts`.
    pub(crate) fn new(counts: Arc<Counts>) -> Self {
        Self { counts, ..Self::default() }
    }

    /// Gives one turn after another, for ever. Between two turns the runtime polls for events and
    /// runs the tasks they wake. A small request therefore waits for one turn, not for all of them.
    pub(crate) async fn give(&self) {
        loop {
            let next = poll_fn(|cx| self.poll_next(cx)).await;
            self.given.set(self.given.get() + 1);
            next.wake();
            yield_now().await;
        }
    }

    fn poll_next(&self, cx: &Context<'_>) -> Poll<Waker> {
        match self.waiting.borrow_mut().pop_front() {
            Some(next) => Poll::Ready(next),
            None => {
                self.giver.replace(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Queues for a turn and returns its number.
    pub(super) fn queue(&self, cx: &Context<'_>) -> u64 {
        let mut waiting = self.waiting.borrow_mut();
        waiting.push_back(cx.waker().clone());
        if let Some(giver) = self.giver.take() {
            giver.wake();
        }
        self.given.get() + waiting.len() as u64
    }

    /// Whether turn `number` has been given. If not, wakes the task of `cx` when it is.
    pub(super) fn has_given(&self, number: u64, cx: &Context<'_>) -> bool {
        let Some(ahead) = number.checked_sub(self.given.get() + 1) else { return true };
        if let Some(waker) = self.waiting.borrow_mut().get_mut(ahead as usize) {
            waker.clone_from(cx.waker());
        }
        false
    }
}
