//! What the log says while a directory cannot be asked, and when it can be again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use super::super::seldom::Seldom;
use super::failure::Failure;

#[derive(Default)]
pub(super) struct Outage {
    errors: Seldom,
    now: Mutex<Option<Times>>,
}

/// Of an outage that goes on.
struct Times {
    began: Instant,
    /// Whether the log says that it began.
    is_known: bool,
}

impl Outage {
    pub(super) fn goes_on(&self, failure: &Failure) {
        let is_due = self.errors.is_due();
        let times = &mut *self.now();
        times.get_or_insert(Times { began: Instant::now(), is_known: false }).is_known |= is_due;
        if is_due {
            tracing::error!(cause = %failure, "the directory cannot be asked; its users get 503 unless they are remembered");
        }
    }

    pub(super) fn ended(&self) {
        if let Some(Times { began, is_known: true }) = self.now().take() {
            tracing::info!(after_s = began.elapsed().as_secs(), "the directory answers again");
        }
    }

    fn now(&self) -> MutexGuard<'_, Option<Times>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
