//! What the log says while the engine is away: once a minute, however often that changes.

use std::time::Duration;

use tokio::time::Instant;

use super::link::Target;

const PAUSE: Duration = Duration::from_secs(60);

/// The time in which the engine is away.
#[derive(Default)]
pub(super) struct Outage {
    /// When it began; `None` while the engine is there.
    began: Option<Instant>,
    /// The last warning, of this outage or an earlier one.
    warned: Option<Instant>,
    /// Whether the log has a warning of this outage.
    is_known: bool,
    /// Whether the engine has ever been there.
    was_used: bool,
}

impl Outage {
    /// Warns if that is due.
    pub(super) fn goes_on(&mut self, target: &Target, error: Option<&str>) {
        let now = Instant::now();
        self.began.get_or_insert(now);
        if self.warned.is_none_or(|at| now.duration_since(at) >= PAUSE) {
            (self.warned, self.is_known) = (Some(now), true);
            let error = error.unwrap_or("it is gone");
            tracing::warn!(
                url = %target.url(),
                error,
                "the shared state is away; limits count by replica, and new immutable tags are refused"
            );
        }
    }

    /// The engine is there.
    pub(super) fn ended(&mut self, target: &Target) {
        match self.began.take() {
            Some(began) if self.is_known => {
                let seconds = began.elapsed().as_secs();
                tracing::info!(url = %target.url(), after_s = seconds, "the shared state is used again");
            }
            Some(_) => {}
            None if !self.was_used => tracing::info!(url = %target.url(), "the shared state is used"),
            None => {}
        }
        (self.is_known, self.was_used) = (false, true);
    }
}
