//! Whether a client still does its part. hyper's own timers know nothing of a reader that has
//! stopped, of an idle HTTP/2 connection or of one that has sent no more than its preface.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::meter::Meter;
use crate::body::{Flow, Pace};
use crate::config::Limits;

/// How often a client that is waited for is looked at, at most.
const TICK: Duration = Duration::from_secs(1);

/// How often an idle connection is looked at.
const GLANCE: Duration = Duration::from_secs(5);
/// How soon after its last request an HTTP/1.1 connection may rest: the memory it holds until then is what the next ones need.
const BREATHER: Duration = Duration::from_millis(20);

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// No request came in its time.
    Quiet,
    /// The client does not take what was sent to it.
    Stalled,
    /// The client has closed the connection, which nobody sees who neither reads nor writes.
    Gone,
}

/// What is to become of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It has to end, for this reason.
    End(Ending),
    /// It is an HTTP/1.1 connection between two requests, and has been for a while.
    Rest,
}

/// Watches one connection.
pub(super) struct Watch {
    meter: Rc<Meter>,
    idle_timeout: Duration,
    header_timeout: Duration,
    min_rate: u64,
    /// Requests whose response has not ended.
    busy: Cell<usize>,
    /// Whether a response has ended. What is on its way before that is TLS's own.
    answered: Cell<bool>,
    told: Cell<bool>,
    /// When the next request has to be there, as long as none is under way.
    deadline: Cell<Instant>,
    /// The one request of an HTTP/1.1 connection; HTTP/2 watches each of its streams by itself.
    current: RefCell<Option<Rc<Flow>>>,
}

impl Watch {
    /// `first` is when the first request has to be there.
    pub(super) fn new(meter: Rc<Meter>, limits: &Limits, first: Instant) -> Rc<Self> {
        Rc::new(Self {
            meter,
            idle_timeout: limits.idle_timeout,
            header_timeout: limits.header_timeout,
            min_rate: limits.min_rate,
            busy: Cell::new(0),
            answered: Cell::new(false),
            told: Cell::new(false),
            deadline: Cell::new(first),
            current: RefCell::new(None),
        })
    }

    /// Takes down that a request has begun; dropping the guard, that its response is over.
    pub(super) fn begin(self: &Rc<Self>) -> Busy {
        self.busy.set(self.busy.get() + 1);
        Busy(self.clone())
    }

    /// Names the request that the connection as a whole is to be judged by.
    pub(super) fn follow(&self, flow: &Rc<Flow>) {
        *self.current.borrow_mut() = Some(flow.clone());
    }

    /// Whether a request is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.get() > 0
    }

    /// Whether a response has ended on this connection; its last bytes may still be on their way.
    pub(super) fn has_answered(&self) -> bool {
        self.answered.get()
    }

    /// Takes down that the connection has been asked to end, so that it is no longer to be quiet for.
    pub(super) fn tell(&self) {
        self.told.set(true);
    }

    /// Whether it has been.
    pub(super) fn is_told(&self) -> bool {
        self.told.get()
    }

    /// Waits until the connection has to end or may rest.
    pub(super) async fn turn(&self) -> Turn {
        let mut progress = Progress::new(self);
        let mut glance = BREATHER;
        loop {
            let since = Instant::now();
            if self.is_busy() || self.meter.is_sending() {
                let asked = self.current.borrow().as_ref().is_some_and(|flow| flow.waits_for_download());
                let waits = asked || !self.is_busy() || self.meter.is_blocked();
                sleep_until(since + if self.is_busy() { self.tick() } else { glance }).await;
                if self.is_busy() && self.meter.is_gone() {
                    return Turn::End(Ending::Gone);
                }
                if progress.is_too_slow(waits, since.elapsed(), None) {
                    self.meter.give_up();
                    return Turn::End(Ending::Stalled);
                }
                if !self.is_busy() && self.has_answered() {
                    self.postpone();
                }
                glance = if self.is_busy() { BREATHER } else { (2 * glance).min(self.tick()) };
            } else if since >= self.deadline.get() && !self.is_told() {
                return Turn::End(Ending::Quiet);
            } else {
                let next = since + glance;
                sleep_until(if self.is_told() { next } else { next.min(self.deadline.get()) }).await;
                if self.may_rest() {
                    self.current.take();
                    return Turn::Rest;
                }
                progress = Progress::new(self);
                glance = self.glance();
            }
        }
    }

    /// Waits until the client has left one response of several lie for too long. What counts is what
    /// the stream has handed over, and what arrives of anything while the socket itself is full.
    pub(super) async fn stalled(&self, flow: &Flow) {
        let mut progress = Progress::new(self);
        loop {
            let since = Instant::now();
            let waits = flow.waits_for_download();
            sleep_until(since + self.tick()).await;
            if progress.is_too_slow(waits, since.elapsed(), Some(flow.bytes_out())) {
                return;
            }
        }
    }

    /// Waits until a connection at rest has to be looked after again: something came, or its time is over.
    pub(super) async fn rest(&self) {
        tokio::select! {
            () = self.meter.readable() => {}
            () = sleep_until(self.deadline.get()) => {}
        }
    }

    fn may_rest(&self) -> bool {
        let http1 = self.current.borrow().is_some();
        http1 && !self.is_busy() && !self.is_told() && !self.meter.is_sending()
    }

    fn tick(&self) -> Duration {
        (self.idle_timeout / 8).clamp(Duration::from_millis(10), TICK)
    }

    fn glance(&self) -> Duration {
        (self.idle_timeout / 8).clamp(Duration::from_millis(10), GLANCE)
    }

    fn postpone(&self) {
        self.deadline.set(Instant::now() + self.header_timeout);
    }
}

/// What a client has taken so far, and how fast.
struct Progress {
    meter: Rc<Meter>,
    fresh: Pace,
    pace: Pace,
    acknowledged: u64,
    delivered: u64,
}

impl Progress {
    fn new(watch: &Watch) -> Self {
        let (meter, fresh) = (watch.meter.clone(), Pace::new(watch.idle_timeout, watch.min_rate));
        let acknowledged = meter.acknowledged();
        Self { meter, pace: fresh.clone(), fresh, acknowledged, delivered: 0 }
    }

    /// Judges the `time` since the last call, in which the client was waited for or not. `delivered` is what its
    /// stream has handed over in all; without one, what the client's host has acknowledged counts instead.
    fn is_too_slow(&mut self, waits: bool, time: Duration, delivered: Option<u64>) -> bool {
        let acknowledged = self.meter.acknowledged();
        let arrived = acknowledged.saturating_sub(self.acknowledged);
        let handed_over = delivered.unwrap_or_default().saturating_sub(self.delivered);
        (self.acknowledged, self.delivered) = (acknowledged, delivered.unwrap_or_default());
        if !waits {
            self.pace = self.fresh.clone();
            return false;
        }
        let counts = delivered.is_none() || self.meter.is_blocked();
        self.pace.waited(time, handed_over + if counts { arrived } else { 0 })
    }
}

/// One request under way.
pub(super) struct Busy(Rc<Watch>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.set(self.0.busy.get() - 1);
        self.0.answered.set(true);
        self.0.postpone();
    }
}
