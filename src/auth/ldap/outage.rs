//! What the log says while a directory cannot be asked: once a minute, however many log in.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::failure::Failure;

const PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Outage(Mutex<Times>);

#[derive(Default)]
struct Times {
    /// When it began; `None` while the directory answers.
    began: Option<Instant>,
    /// When the log said so last, of this outage or an earlier one.
    told: Option<Instant>,
    /// Whether the log says that this outage began.
    is_known: bool,
}

impl Outage {
    pub(super) fn goes_on(&self, failure: &Failure) {
        let now = Instant::now();
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        times.began.get_or_insert(now);
        if times.told.is_none_or(|at| now.duration_since(at) >= PAUSE) {
            (times.told, times.is_known) = (Some(now), true);
            drop(times);
            tracing::error!(cause = %failure, "the directory cannot be asked; its users get 503 unless they are remembered");
        }
    }

    pub(super) fn ended(&self) {
        let mut times = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (began, is_known) = (times.began.take(), std::mem::take(&mut times.is_known));
        drop(times);
        if let (Some(began), true) = (began, is_known) {
            tracing::info!(after_s = began.elapsed().as_secs(), "the directory answers again");
        }
    }
}
