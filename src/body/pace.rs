//! How slow a client may be.

use std::time::Duration;

/// The time over which the rate is taken. A client may be as slow as it likes for one window.
const WINDOW: Duration = Duration::from_secs(20);

/// Judges a client by the time that was spent waiting for it: it has to move a byte within
/// `idle`, and `min_rate` bytes per second over each 20 s of waiting. Time in which somebody else
/// was waited for does not count, and there is no limit on the total.
#[derive(Clone, Debug)]
pub struct Pace {
    idle: Duration,
    min_rate: u64,
    still: Duration,
    waited: Duration,
    moved: u64,
}

impl Pace {
    /// `min_rate` is in bytes per second; 0 asks for none.
    pub fn new(idle: Duration, min_rate: u64) -> Self {
        Self { idle, min_rate, still: Duration::ZERO, waited: Duration::ZERO, moved: 0 }
    }

    /// Takes down that the client was waited for during `time` and moved `bytes` in it.
    /// Returns whether it is too slow.
    pub fn waited(&mut self, time: Duration, bytes: u64) -> bool {
        self.still = if bytes == 0 { self.still + time } else { Duration::ZERO };
        self.waited += time;
        self.moved += bytes;
        if self.still >= self.idle {
            return true;
        }
        if self.waited < WINDOW {
            return false;
        }
        let owed = self.min_rate as f64 * self.waited.as_secs_f64();
        let slow = (self.moved as f64) < owed;
        self.waited = Duration::ZERO;
        self.moved = 0;
        slow
    }

    /// How long the client may still do nothing before the next call of [`Pace::waited`] can turn out badly.
    pub fn patience(&self) -> Duration {
        let until_idle = self.idle.saturating_sub(self.still);
        if self.min_rate == 0 { until_idle } else { until_idle.min(WINDOW.saturating_sub(self.waited)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_still_client_is_too_slow_after_the_idle_time() {
        let mut pace = Pace::new(3 * SECOND, 0);
        assert!(!pace.waited(2 * SECOND, 0));
        assert_eq!(pace.patience(), SECOND);
        assert!(!pace.waited(SECOND, 1));
        assert!(!pace.waited(2 * SECOND, 0));
        assert!(pace.waited(SECOND, 0));
    }

    #[test]
    fn a_trickle_is_too_slow_after_twenty_seconds() {
        let mut pace = Pace::new(60 * SECOND, 500);
        assert!((0..19).all(|_| !pace.waited(SECOND, 499)));
        assert!(pace.waited(SECOND, 499));
    }

    #[test]
    fn the_asked_rate_is_fast_enough_for_ever() {
        let mut pace = Pace::new(60 * SECOND, 500);
        assert!((0..1000).all(|_| !pace.waited(SECOND, 500)));
    }

    #[test]
    fn a_burst_does_not_pay_for_a_later_trickle() {
        let mut pace = Pace::new(60 * SECOND, 500);
        assert!(!pace.waited(SECOND, 1 << 30));
        assert!((0..60).any(|_| pace.waited(SECOND, 1)));
    }
}
