//! A warning while a service does not judge: one a minute, however many log in.

use std::fmt::Display;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The time between two warnings.
const PAUSE: Duration = Duration::from_secs(60);

/// When the log was told last.
#[derive(Default)]
pub(super) struct Outage(Mutex<Option<Instant>>);

impl Outage {
    /// Tells the log, unless it was told within the last minute.
    pub(super) fn tell(&self, cause: &dyn Display) {
        if self.is_due() {
            tracing::warn!(%cause, "auth.http does not judge logins; users get 503 unless they are remembered");
        }
    }

    fn is_due(&self) -> bool {
        let (mut told, now) = (self.0.lock().unwrap_or_else(PoisonError::into_inner), Instant::now());
        let is_due = told.is_none_or(|at| now.duration_since(at) >= PAUSE);
        if is_due {
            *told = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_log_is_told_once_a_minute() {
        let outage = Outage::default();
        assert!(outage.is_due() && !outage.is_due());
        tokio::time::advance(PAUSE - Duration::from_millis(1)).await;
        assert!(!outage.is_due());
        tokio::time::advance(Duration::from_millis(1)).await;
        assert!(outage.is_due() && !outage.is_due());
    }
}
