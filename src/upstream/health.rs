//! Whether an address of a server can be used: what requests and checks have shown.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::StatusCode;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::error::UpstreamError;

/// Failures in a row after which an address is down. A failed connect alone is enough.
const FAILURES: u32 = 3;
/// The pause before the first check of an address that is down, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The health of one address. Workers and checks share it.
#[derive(Debug, Default)]
pub(crate) struct Health {
    is_down: AtomicBool,
    /// Failures since the last answer.
    failures: AtomicU32,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// `None` until there was a check or a failure.
    standing: Option<Standing>,
    down: Option<Down>,
    /// When the last check began.
    checked: Option<Instant>,
    is_being_checked: bool,
}

#[derive(Debug)]
struct Down {
    since: Instant,
    /// How the last attempt failed.
    kind: FaultKind,
    /// How often the pause before the next check was doubled.
    doubled: u32,
    next_check: Instant,
}

/// What is known of an address, a server or a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub up: bool,
    /// The first check or failure with this result.
    pub since: OffsetDateTime,
    /// Why it is down.
    pub fault: Option<UpstreamFault>,
}

/// Why clients cannot use the registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpstreamFault {
    /// For everybody: without an address or anything else about the inside.
    pub brief: String,
    /// For the operator: what happened, and what to do.
    pub detail: String,
    pub kind: FaultKind,
}

/// How a fault shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The connection was refused, or the address cannot be reached.
    Refused,
    /// There was no connection, or no answer, in time.
    Silent,
    /// An answer, or what came instead of one.
    Answer,
}

impl Standing {
    /// What is known of several addresses together: up if one of them is, down if all are.
    pub(crate) fn of_all(all: impl Iterator<Item = Option<Standing>>) -> Option<Self> {
        let all: Vec<_> = all.collect();
        let known = || all.iter().flatten();
        match known().filter(|standing| standing.up).min_by_key(|standing| standing.since) {
            Some(up) => Some(up.clone()),
            None if all.contains(&None) => None,
            None => known().max_by_key(|standing| standing.since).cloned(),
        }
    }
}

impl UpstreamFault {
    /// A request has failed.
    pub(crate) fn of_error(error: &UpstreamError) -> Self {
        let kind = match error {
            UpstreamError::Connect(_) | UpstreamError::Name(_) => FaultKind::Refused,
            UpstreamError::ConnectTimeout | UpstreamError::Silent | UpstreamError::Vanished => {
                FaultKind::Silent
            }
            _ => FaultKind::Answer,
        };
        let brief = match error {
            // The rest of the message names the hosts of the certificate.
            UpstreamError::Tls(_) => "no TLS".to_owned(),
            error => error.to_string(),
        };
        Self { brief, detail: error.to_string(), kind }
    }

    /// An answer says that the server is not in order.
    pub(super) fn of_answer(status: StatusCode) -> Self {
        let brief = format!("it answers with {status}");
        Self { detail: brief.clone(), brief, kind: FaultKind::Answer }
    }
}

impl fmt::Display for UpstreamFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Health {
    /// Whether requests are to go elsewhere.
    pub(crate) fn is_down(&self) -> bool {
        self.is_down.load(Ordering::Relaxed)
    }

    /// What checks and failures have shown; `None` before there was any.
    pub(crate) fn standing(&self) -> Option<Standing> {
        self.known().standing.clone()
    }

    /// When it went down; `None` if it is up.
    pub(super) fn down_since(&self) -> Option<Instant> {
        self.known().down.as_ref().map(|down| down.since)
    }

    /// Whether a further attempt would only wait: nothing came from the address before, and the
    /// next check is not due yet, or is waiting itself.
    pub(super) fn is_hopeless(&self, now: Instant) -> bool {
        let known = self.known();
        let is_checked = |down: &Down| known.is_being_checked || now < down.next_check;
        known.down.as_ref().is_some_and(|down| down.kind == FaultKind::Silent && is_checked(down))
    }

    /// Records an answer that is not a failure. It takes the address back if the request was sent
    /// although the address was down. Returns whether it is up again.
    pub(super) fn answered(&self, was_down: bool) -> bool {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        was_down && self.is_down() && self.rise(&mut self.known())
    }

    /// Records that a request got 502, 503 or 504, or no answer. Returns whether the address is
    /// down from now on.
    pub(super) fn failed(&self, fault: impl FnOnce() -> UpstreamFault) -> bool {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        failures >= FAILURES && !self.is_down() && self.fall(&mut self.known(), fault(), Instant::now())
    }

    /// Records that there is no connection. Returns whether the address is down from now on.
    pub(super) fn unreachable(&self, fault: UpstreamFault) -> bool {
        let (mut known, now) = (self.known(), Instant::now());
        if let Some(down) = &mut known.down {
            // Not taken for the newest: the last one to go down is the one to be tried.
            down.kind = fault.kind;
            return false;
        }
        self.fall(&mut known, fault, now)
    }

    /// When the next check is due, seen from `now`; `None` while there is one. An address that is
    /// up is checked `every` so often; zero means never.
    pub(crate) fn next_check(&self, every: Duration, now: Instant) -> Option<Instant> {
        let known = self.known();
        match &known.down {
            _ if known.is_being_checked => None,
            Some(down) => Some(down.next_check),
            None if every.is_zero() => None,
            None => Some(known.checked.map_or(now, |checked| checked + every)),
        }
    }

    /// Records that a check begins.
    pub(crate) fn begin_check(&self) {
        let mut known = self.known();
        known.is_being_checked = true;
        known.checked = Some(Instant::now());
    }

    /// Records that a check was left out.
    pub(crate) fn skip_check(&self) {
        let mut known = self.known();
        known.is_being_checked = false;
        if let Some(down) = &mut known.down {
            down.next_check = Instant::now() + PAUSES.0;
        }
    }

    /// Records the result of a check. `is_alone` says that the registry has no other address: then
    /// requests need this one in any case, and no pause grows.
    /// Returns whether the address changed between up and down.
    pub(crate) fn checked(&self, outcome: Result<(), UpstreamFault>, is_alone: bool) -> bool {
        let (mut known, now) = (self.known(), Instant::now());
        known.is_being_checked = false;
        let fault = match outcome {
            Ok(()) => {
                self.failures.store(0, Ordering::Relaxed);
                return self.rise(&mut known);
            }
            Err(fault) => fault,
        };
        let Some(down) = &mut known.down else { return self.fall(&mut known, fault, now) };
        down.kind = fault.kind;
        // A refusal comes at once, so a check that gets one costs nothing. What follows it is new:
        // the server has been started and is not ready yet.
        if fault.kind == FaultKind::Refused || is_alone {
            (down.next_check, down.doubled) = (now + PAUSES.0, 0);
        } else {
            (down.next_check, down.doubled) = (now + pause(down.doubled), down.doubled + 1);
        }
        if let Some(standing) = &mut known.standing {
            standing.fault = Some(fault);
        }
        false
    }

    fn rise(&self, known: &mut Known) -> bool {
        self.is_down.store(false, Ordering::Relaxed);
        let was_down = known.down.take().is_some();
        if known.standing.as_ref().is_none_or(|standing| !standing.up) {
            known.standing = Some(Standing { up: true, since: OffsetDateTime::now_utc(), fault: None });
        }
        was_down
    }

    fn fall(&self, known: &mut Known, fault: UpstreamFault, now: Instant) -> bool {
        self.is_down.store(true, Ordering::Relaxed);
        known.down = Some(Down { since: now, kind: fault.kind, next_check: now + pause(0), doubled: 1 });
        let standing = Standing { up: false, since: OffsetDateTime::now_utc(), fault: Some(fault) };
        known.standing = Some(standing);
        true
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause that was doubled so often, up to a quarter shorter, so that several processes do not
/// check at the same moment.
fn pause(doubled: u32) -> Duration {
    let (shortest, longest) = PAUSES;
    let pause = shortest.saturating_mul(1 << doubled.min(10)).min(longest);
    // A new hasher has random keys.
    let share = RandomState::new().hash_one(0) % 256;
    pause - pause.mul_f64(share as f64 / 1024.0)
}

#[cfg(test)]
mod tests;
