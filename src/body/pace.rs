//! How slow a client may be.

use std::time::Duration;

/// How long a new client may stay below the minimum rate.
const GRACE: Duration = Duration::from_secs(20);

/// Judges a client by the time spent waiting for it. It must move a byte within `idle`, and
/// `min_rate` bytes per second on average. Time spent waiting for the registry does not count, and
/// the total is not limited.
///
/// The average is kept as credit. A client starts with 20 s; waiting for it uses credit up, and
/// each byte earns the time it may take at the minimum rate. Credit is capped, so that a burst pays
/// for a later pause but not for a later trickle.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    idle: Duration,
    min_rate: u64,
    still: Duration,
    credit: Duration,
}

impl Pace {
    /// `min_rate` is in bytes per second; 0 asks for none.
    pub(crate) fn new(idle: Duration, min_rate: u64) -> Self {
        Self { idle, min_rate, still: Duration::ZERO, credit: GRACE }
    }

    /// Records a wait of `time` in which the client moved `bytes`. Returns whether it is too slow.
    pub(crate) fn waited(&mut self, time: Duration, bytes: u64) -> bool {
        self.still = if bytes == 0 { self.still + time } else { Duration::ZERO };
        if self.still >= self.idle {
            return true;
        }
        if self.min_rate == 0 {
            return false;
        }
        let earned = Duration::from_secs_f64(bytes as f64 / self.min_rate as f64);
        match (self.credit + earned).checked_sub(time) {
            Some(credit) if !credit.is_zero() => self.credit = credit.min(GRACE.max(self.idle)),
            Some(_) | None => return true,
        }
        false
    }

    /// How much longer the client may do nothing before it is too slow.
    pub(crate) fn patience(&self) -> Duration {
        let until_idle = self.idle.saturating_sub(self.still);
        if self.min_rate == 0 { until_idle } else { until_idle.min(self.credit) }
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
        assert!((0..20).all(|_| !pace.waited(SECOND, 10)));
        assert!(pace.waited(SECOND, 10));
    }

    #[test]
    fn the_asked_rate_is_fast_enough_for_ever() {
        let mut pace = Pace::new(60 * SECOND, 500);
        assert!((0..1000).all(|_| !pace.waited(SECOND, 500)));
    }

    #[test]
    fn a_burst_pays_for_a_pause_up_to_the_idle_time() {
        let mut pace = Pace::new(60 * SECOND, 500);
        assert!(!pace.waited(SECOND, 1 << 30));
        assert_eq!(pace.patience(), 60 * SECOND);
        assert!(!pace.waited(59 * SECOND, 4096));
        assert!(!pace.waited(8 * SECOND, 4096));
    }

    #[test]
    fn a_burst_does_not_pay_for_a_later_trickle() {
        let mut pace = Pace::new(60 * SECOND, 500);
        assert!(!pace.waited(SECOND, 1 << 30));
        assert!(!pace.waited(50 * SECOND, 1));
        assert!(pace.waited(50 * SECOND, 1));
    }

    #[test]
    fn steps_of_64_kib_are_no_trickle() {
        let mut pace = Pace::new(60 * SECOND, 500);
        assert!(!pace.waited(SECOND, 65536));
        assert!((0..100).all(|_| !(0..31).any(|_| pace.waited(SECOND, 0)) && !pace.waited(SECOND, 65536)));
    }
}
