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

/// Why a connection has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// No request came in its time.
    Quiet,
    /// The client does not take what was sent to it.
    Stalled,
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

    /// Waits until the connection has to end.
    pub(super) async fn ending(&self) -> Ending {
        let mut pace = self.pace();
        let mut seen = self.meter.acknowledged();
        loop {
            let sending = self.busy.get() == 0 && self.meter.is_sending();
            let waits =
                sending || self.current.borrow().as_ref().is_some_and(|flow| flow.waits_for_download());
            if self.busy.get() == 0 && !sending {
                let deadline = self.deadline.get();
                if Instant::now() >= deadline {
                    return Ending::Quiet;
                }
                sleep_until(deadline).await;
                (pace, seen) = (self.pace(), self.meter.acknowledged());
                continue;
            }
            let since = Instant::now();
            sleep_until(since + self.tick()).await;
            let now = self.meter.acknowledged();
            if !waits {
                pace = self.pace();
            } else if pace.waited(since.elapsed(), now.saturating_sub(seen)) {
                self.meter.give_up();
                return Ending::Stalled;
            }
            if sending && self.answered.get() {
                self.postpone();
            }
            seen = now;
        }
    }

    /// Waits until the client has left one response of several lie for too long. What counts is what
    /// the stream has handed over; while the socket itself is full, what arrives of anything.
    pub(super) async fn stalled(&self, flow: &Flow) {
        let progress = || {
            let arrived = if self.meter.is_blocked() { self.meter.acknowledged() } else { 0 };
            flow.bytes_out() + arrived
        };
        let mut pace = self.pace();
        let mut seen = progress();
        loop {
            let since = Instant::now();
            let waits = flow.waits_for_download();
            sleep_until(since + self.tick()).await;
            let now = progress();
            if !waits {
                pace = self.pace();
            } else if pace.waited(since.elapsed(), now.saturating_sub(seen)) {
                return;
            }
            seen = now;
        }
    }

    fn pace(&self) -> Pace {
        Pace::new(self.idle_timeout, self.min_rate)
    }

    fn tick(&self) -> Duration {
        (self.idle_timeout / 8).clamp(Duration::from_millis(10), TICK)
    }

    fn postpone(&self) {
        self.deadline.set(Instant::now() + self.header_timeout);
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
