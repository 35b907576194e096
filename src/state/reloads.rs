//! What has become of the reloads.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use crate::metrics::{Count, Counters, ReloadCause};

/// Counts the reloads, and remembers the last one.
#[derive(Debug)]
pub(crate) struct Reloads {
    counts: Counters<ReloadCause, { ReloadCause::ALL.len() }, Outcomes>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Outcomes {
    succeeded: Count,
    failed: Count,
}

#[derive(Debug)]
struct Known {
    loaded: SystemTime,
    last: Option<LastReload>,
}

/// The last reload.
#[derive(Clone, Debug)]
pub(crate) struct LastReload {
    pub time: SystemTime,
    pub cause: ReloadCause,
    /// Why it failed, if it did.
    pub error: Option<String>,
}

impl Reloads {
    /// The settings were loaded at the start, just now.
    pub(crate) fn new() -> Self {
        let known = Mutex::new(Known { loaded: SystemTime::now(), last: None });
        Self { counts: Counters::default(), known }
    }

    /// Records a reload, and the error that made it fail.
    pub(crate) fn record(&self, cause: ReloadCause, error: Option<String>) {
        let outcomes = &self.counts[cause];
        let outcome = if error.is_none() { &outcomes.succeeded } else { &outcomes.failed };
        outcome.increment();
        let time = SystemTime::now();
        let mut known = self.known();
        if error.is_none() {
            known.loaded = time;
        }
        known.last = Some(LastReload { time, cause, error });
    }

    /// How many reloads with this cause succeeded, and how many failed.
    pub(crate) fn count(&self, cause: ReloadCause) -> (u64, u64) {
        let outcomes = &self.counts[cause];
        (outcomes.succeeded.get(), outcomes.failed.get())
    }

    /// When the running settings were loaded.
    pub(crate) fn loaded(&self) -> SystemTime {
        self.known().loaded
    }

    /// The last reload; `None` before the first.
    pub(crate) fn last(&self) -> Option<LastReload> {
        self.known().last.clone()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
