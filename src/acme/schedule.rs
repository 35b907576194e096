//! Decides when the next attempt is due.

use std::time::Duration;

use aws_lc_rs::rand;
use time::OffsetDateTime;

/// A certificate is renewed after this share of its lifetime ...
const SHARE: f64 = 2.0 / 3.0;
/// ... or up to this much earlier, so that renewals of certificates of the same day are spread.
const SPREAD: f64 = 0.05;

const FIRST_DELAY: Duration = Duration::from_secs(5);
const GROWTH: u32 = 6;
const LONGEST_DELAY: Duration = Duration::from_hours(6);
/// Let's Encrypt allows a name five failures per hour.
const FAILURE_INTERVAL: Duration = Duration::from_mins(12);
/// The longest `Retry-After` that is followed. No working directory asks for more.
pub(super) const LONGEST_RETRY_AFTER: Duration = Duration::from_hours(7 * 24);

/// Returns when to renew a certificate that is valid `from` one time `until` another. Never earlier
/// than a tenth of its lifetime (at most six hours) after `now`, even if this clock is wrong.
/// `random` is from 0 to 1.
pub(super) fn renewal(
    from: OffsetDateTime,
    until: OffsetDateTime,
    now: OffsetDateTime,
    random: f64,
) -> OffsetDateTime {
    let life = (until - from).unsigned_abs();
    (from + life.mul_f64(SHARE - SPREAD * random)).max(now + (life / 10).min(LONGEST_DELAY))
}

/// Returns the delay before the next attempt. Grows 6x per failure from 5 s to 6 h.
///
/// Capped at a tenth of the certificate's remaining lifetime, but for long-lived certificates not
/// below 12 minutes (Let's Encrypt's failure limit). Never shorter than `retry_after`, the
/// directory's `Retry-After`. `random` is from 0 to 1.
pub(super) fn retry_delay(
    failures: u32,
    validity: Option<(OffsetDateTime, OffsetDateTime)>,
    now: OffsetDateTime,
    retry_after: Option<Duration>,
    random: f64,
) -> Duration {
    let steps = GROWTH.saturating_pow(failures.saturating_sub(1));
    let delay = FIRST_DELAY.saturating_mul(steps).min(LONGEST_DELAY).mul_f64(1.0 - SPREAD * random);
    let longest = validity.map_or(LONGEST_DELAY, |(from, until)| {
        let life = (until - from).unsigned_abs();
        let left = (until - now).max(time::Duration::ZERO).unsigned_abs();
        (left / 10).max(FAILURE_INTERVAL.min(life / 1000))
    });
    delay.min(longest).max(FIRST_DELAY).max(retry_after.unwrap_or_default().min(LONGEST_RETRY_AFTER))
}

/// Returns a random number from 0 to 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // An error is ignored: without random numbers TLS would fail anyway.
    _ = rand::fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
    const DAY: Duration = Duration::from_hours(24);
    const HOUR: Duration = Duration::from_hours(1);

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_life_are_over_or_a_little_earlier() {
        let until = START + 90 * DAY;
        assert_eq!((renewal(START, until, START, 0.0) - START).whole_hours(), 60 * 24);
        let earliest = renewal(START, until, START, 1.0) - START;
        assert!((1331..=1332).contains(&earliest.whole_hours()), "{earliest}");
    }

    #[test]
    fn a_wrong_clock_does_not_order_one_certificate_after_another() {
        let until = START + 90 * DAY;
        for late in [61 * DAY, 89 * DAY, 9000 * DAY] {
            assert_eq!(renewal(START, until, START + late, 0.0), START + late + LONGEST_DELAY);
        }
        let minute = Duration::from_mins(1);
        assert_eq!(renewal(START, START + minute, START + minute, 0.0) - START, minute + minute / 10);
    }

    #[test]
    fn delays_grow_to_six_hours() {
        let seconds = |failures| retry_delay(failures, None, START, None, 0.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(seconds), [5, 30, 180, 1080, 6480, 21600, 21600]);
        assert_eq!(seconds(u32::MAX), 21600);
        assert!(retry_delay(6, None, START, None, 1.0) < retry_delay(6, None, START, None, 0.5));
        assert_eq!(retry_delay(1, None, START, None, 1.0), FIRST_DELAY);
    }

    #[test]
    fn a_delay_is_at_most_a_tenth_of_the_remaining_lifetime() {
        let short = Some((START, START + HOUR));
        assert_eq!(retry_delay(9, short, START, None, 0.0), HOUR / 10);
        assert_eq!(retry_delay(9, short, START + HOUR, None, 0.0), FIRST_DELAY);
        let long = Some((START, START + 90 * DAY));
        assert_eq!(retry_delay(9, long, START, None, 0.0), LONGEST_DELAY);
        assert_eq!(retry_delay(9, long, START + 89 * DAY + 4 * HOUR, None, 0.0), 2 * HOUR);
        for late in [90 * DAY - HOUR, 90 * DAY, 100 * DAY] {
            assert_eq!(retry_delay(9, long, START + late, None, 0.0), FAILURE_INTERVAL);
        }
        assert_eq!(retry_delay(1, long, START + 90 * DAY, None, 0.0), FIRST_DELAY);
    }

    #[test]
    fn the_directory_may_ask_for_a_longer_delay_but_not_forever() {
        assert_eq!(retry_delay(1, Some((START, START + HOUR)), START, Some(HOUR), 0.0), HOUR);
        assert_eq!(retry_delay(5, None, START, Some(Duration::from_secs(1)), 0.0).as_secs(), 6480);
        assert_eq!(retry_delay(1, None, START, Some(Duration::MAX), 0.0), LONGEST_RETRY_AFTER);
    }
}
