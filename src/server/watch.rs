//! The time limits of a client connection. hyper's own timers miss a client that has stopped
//! reading, an idle HTTP/2 connection, and one that has sent no more than its preface.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::meter::Meter;
use super::slots::Slot;
use crate::body::{Flow, Pace};
use crate::config::Limits;

/// How often a transfer is checked, at most.
const TRANSFER_CHECK: Duration = Duration::from_secs(1);
/// How often an idle connection is checked, at most.
const IDLE_CHECK: Duration = Duration::from_secs(5);
/// The least time between two checks.
const LEAST_CHECK: Duration = Duration::from_millis(10);
/// How soon after its last request an HTTP/1.1 connection may rest. The memory it holds until then
/// is what a next request would need.
const REST_DELAY: Duration = Duration::from_millis(20);

/// Why a connection has to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    /// No request came in time.
    Idle,
    /// The client does not read what is sent.
    Stalled,
    /// The client has closed the connection. Without a read or a write, nothing else shows it.
    Gone,
}

/// What a connection has to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Close.
    Close(CloseReason),
    /// Rest: it speaks HTTP/1.1 and has been between two requests for a while.
    Rest,
}

/// Watches one connection.
pub(super) struct Watch {
    meter: Rc<Meter>,
    slot: Slot,
    idle_timeout: Duration,
    header_timeout: Duration,
    min_rate: u64,
    /// Requests whose response has not ended.
    busy: Cell<usize>,
    /// Whether a response has ended. Bytes that are sent before are those of TLS itself.
    answered: Cell<bool>,
    /// Whether a stream has ended because its client was too slow.
    stalled: Cell<bool>,
    /// Whether the connection has to end for others, with a stream of it. h2 keeps what is queued
    /// for a dropped stream until the socket accepts more.
    ended: Cell<bool>,
    /// Whether the connection was asked to close.
    closing: Cell<bool>,
    /// When the next request must have arrived, while none is running.
    deadline: Cell<Instant>,
    /// The current request of an HTTP/1.1 connection. HTTP/2 watches each stream separately.
    current: RefCell<Option<Rc<Flow>>>,
    /// Tells that a first request of HTTP/2 has begun.
    begun: Notify,
    /// Tells the streams of HTTP/2 that the connection was checked.
    checked: Notify,
}

impl Watch {
    /// `first` is when the first request must have arrived.
    pub(super) fn new(meter: Rc<Meter>, slot: Slot, limits: &Limits, first: Instant) -> Rc<Self> {
        Rc::new(Self {
            meter,
            slot,
            idle_timeout: limits.idle_timeout,
            header_timeout: limits.header_timeout,
            min_rate: limits.min_rate,
            busy: Cell::new(0),
            answered: Cell::new(false),
            stalled: Cell::new(false),
            ended: Cell::new(false),
            closing: Cell::new(false),
            deadline: Cell::new(first),
            current: RefCell::new(None),
            begun: Notify::new(),
            checked: Notify::new(),
        })
    }

    /// Records that a request has begun. Dropping the guard records that its response is over.
    pub(super) fn begin(self: &Rc<Self>) -> BusyGuard {
        if self.busy.replace(self.busy.get() + 1) == 0 {
            self.slot.busy();
            // HTTP/1.1 goes on with the checks of an idle connection, so that it may rest soon.
            if self.current.borrow().is_none() {
                self.begun.notify_waiters();
            }
        }
        BusyGuard(self.clone())
    }

    /// Sets the request whose progress is that of the connection.
    pub(super) fn follow(&self, flow: &Rc<Flow>) {
        *self.current.borrow_mut() = Some(flow.clone());
    }

    /// Whether a request is running.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.get() > 0
    }

    /// Whether the last response may still be on its way. What is sent before any response does not
    /// postpone the first request: a client can ask for answers to its pings without end.
    pub(super) fn is_finishing(&self) -> bool {
        self.answered.get() && self.meter.is_sending()
    }

    /// Records that a stream has ended because its client was too slow. The connection ends too,
    /// once no other stream is left.
    pub(super) fn stream_stalled(&self) {
        self.stalled.set(true);
    }

    /// Waits until the connection is to close after its request.
    pub(super) async fn asked_to_leave(&self) {
        self.slot.asked_to_leave().await;
    }

    /// Has the connection close after its request.
    pub(super) fn ask_to_leave(&self) {
        self.slot.ask_to_leave();
    }

    /// Marks the connection as closing; the idle deadline no longer applies.
    pub(super) fn mark_closing(&self) {
        self.closing.set(true);
    }

    /// Whether the connection was marked as closing.
    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    /// Waits until the connection has to be closed or may rest.
    pub(super) async fn next_event(&self) -> Event {
        let mut progress = None;
        let mut interval = REST_DELAY;
        // Most requests are short, and an HTTP/1.1 connection may rest after one.
        let is_http1 = self.current.borrow().is_some();
        let mut check = if is_http1 { REST_DELAY.min(self.transfer_check()) } else { self.transfer_check() };
        let mut listed: Option<Rc<Flow>> = None;
        loop {
            let since = Instant::now();
            if self.is_busy() || self.is_finishing() {
                let asked = self.current.borrow().as_ref().is_some_and(|flow| flow.waits_for_download());
                let waits = asked || !self.is_busy() || self.meter.is_blocked();
                let progress = progress.get_or_insert_with(|| Progress::new(self, 0));
                sleep_until(since + if self.is_busy() { check } else { interval }).await;
                check = (2 * check).min(self.transfer_check());
                self.checked.notify_waiters();
                if self.is_busy() && self.meter.is_gone() {
                    return Event::Close(CloseReason::Gone);
                }
                let current = self.current.borrow().clone();
                if let Some(flow) = current.filter(|_| self.is_busy())
                    && !listed.as_ref().is_some_and(|listed| Rc::ptr_eq(listed, &flow))
                {
                    flow.may_be_ended();
                    listed = Some(flow);
                }
                let is_ended = self.is_busy() && listed.as_ref().is_some_and(|flow| flow.is_ended());
                if is_ended || self.ended.get() || progress.is_too_slow(waits, since.elapsed(), None) {
                    self.meter.reset_on_close();
                    return Event::Close(CloseReason::Stalled);
                }
                if !self.is_busy() {
                    self.postpone();
                }
                let next = (2 * interval).min(self.transfer_check());
                interval = if self.is_busy() { REST_DELAY } else { next };
            } else if since >= self.deadline.get() && !self.is_closing() {
                return Event::Close(CloseReason::Idle);
            } else {
                let next = since + interval;
                tokio::select! {
                    () = sleep_until(if self.is_closing() { next } else { next.min(self.deadline.get()) }) => {}
                    () = self.begun.notified() => {}
                }
                if self.may_rest() {
                    self.current.take();
                    return Event::Rest;
                }
                progress = None;
                // The client's host may acknowledge a response some 40 ms late.
                interval = if self.is_finishing() { REST_DELAY } else { self.idle_check() };
            }
        }
    }

    /// Waits until the connection is checked. Few streams last as long, and no other needs a timer
    /// of its own.
    pub(super) async fn checked(&self) {
        self.checked.notified().await;
    }

    /// Waits until the client has not read one response of several for too long. Progress is what
    /// the stream has handed over; while the socket is full, also what arrives of any stream.
    pub(super) async fn stalled(&self, flow: &Flow) {
        let mut progress = Progress::new(self, flow.bytes_out());
        flow.may_be_ended();
        loop {
            let since = Instant::now();
            let waits = flow.waits_for_download();
            sleep_until(since + self.transfer_check()).await;
            if flow.is_ended() {
                return self.ended.set(self.ended.get() || self.meter.is_blocked());
            }
            if progress.is_too_slow(waits, since.elapsed(), Some(flow.bytes_out())) {
                return;
            }
        }
    }

    /// Waits until something arrives on a resting connection, or its deadline is over.
    pub(super) async fn rest(&self) {
        tokio::select! {
            () = self.meter.readable() => {}
            () = sleep_until(self.deadline.get()) => {}
        }
    }

    fn may_rest(&self) -> bool {
        let http1 = self.current.borrow().is_some();
        // A connection that has ended its side must not be served again: what arrives is the rest
        // of a body.
        let is_open = !self.is_closing() && !self.meter.is_lingering();
        http1 && is_open && !self.is_busy() && !self.meter.is_sending()
    }

    fn transfer_check(&self) -> Duration {
        (self.idle_timeout / 8).clamp(LEAST_CHECK, TRANSFER_CHECK)
    }

    fn idle_check(&self) -> Duration {
        (self.idle_timeout / 8).clamp(LEAST_CHECK, IDLE_CHECK)
    }

    fn postpone(&self) {
        self.deadline.set(Instant::now() + self.header_timeout);
    }
}

/// How much a client has received so far, and how fast.
struct Progress {
    meter: Rc<Meter>,
    fresh: Pace,
    pace: Pace,
    acknowledged: u64,
    delivered: u64,
}

impl Progress {
    /// `delivered` is what the stream has handed over so far.
    fn new(watch: &Watch, delivered: u64) -> Self {
        let (meter, fresh) = (watch.meter.clone(), Pace::new(watch.idle_timeout, watch.min_rate));
        let acknowledged = meter.acknowledged();
        Self { meter, pace: fresh.clone(), fresh, acknowledged, delivered }
    }

    /// Judges the `time` since the last call. `waits` is whether the client was waited for in it.
    /// `delivered` is what its stream has handed over in all; without a stream, progress is what
    /// the client's host has acknowledged.
    fn is_too_slow(&mut self, waits: bool, time: Duration, delivered: Option<u64>) -> bool {
        let acknowledged = self.meter.acknowledged();
        let arrived = acknowledged.saturating_sub(self.acknowledged);
        let handed_over = delivered.unwrap_or_default().saturating_sub(self.delivered);
        (self.acknowledged, self.delivered) = (acknowledged, delivered.unwrap_or_default());
        if !waits {
            self.pace = self.fresh.clone();
            return false;
        }
        let judged_by_host = delivered.is_none() || self.meter.is_blocked();
        self.pace.waited(time, handed_over + if judged_by_host { arrived } else { 0 })
    }
}

/// Keeps a connection busy until it is dropped.
pub(super) struct BusyGuard(Rc<Watch>);

impl Drop for BusyGuard {
    fn drop(&mut self) {
        let Self(watch) = self;
        watch.busy.set(watch.busy.get() - 1);
        watch.answered.set(true);
        if watch.is_busy() {
            return;
        }
        watch.postpone();
        watch.slot.idle();
        if watch.stalled.get() {
            watch.ask_to_leave();
        }
    }
}

#[cfg(test)]
mod tests;
