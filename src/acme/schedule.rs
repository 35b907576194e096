//! Decides when the next attempt is due.

use std::time::Duration;

use aws_lc_rs::rand;
use time::OffsetDateTime;

/// A certificate is renewed after this share of its lifetime, ...
const SHARE: f64 = 2.0 / 3.0;
/// ... one with a lifetime below `SHORT` after this share, so that there is time for retries, ...
const SHARE_OF_SHORT: f64 = 1.0 / 2.0;
const SHORT: Duration = Duration::from_hours(10 * 24);
/// ... or up to this much earlier, so that renewals of certificates of the same day are spread.
const SPREAD: f64 = 0.05;

/// A directory's word is not followed to a later share than this.
const LATEST_SHARE: f64 = 9.0 / 10.0;
/// However soon a directory suggests it, a certificate is kept for this long, or for a tenth of its
/// lifetime: a directory that always suggests the past gets no more than an order a day.
const SHORTEST_USE: Duration = Duration::from_hours(24);

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
    let share = if life < SHORT { SHARE_OF_SHORT } else { SHARE };
    (from + life.mul_f64(share - SPREAD * random)).max(now + (life / 10).min(LONGEST_DELAY))
}

/// When a directory suggests a renewal (RFC 9773 section 4.2).
#[derive(Debug, Clone, Copy)]
pub(super) struct Window {
    pub(super) start: OffsetDateTime,
    pub(super) end: OffsetDateTime,
}

/// Returns a time in `window` to renew a certificate with this `validity` that arrived at `issued`:
/// the time `chosen` before if it is still suggested. `None` if the window ends before it starts.
/// `random` is from 0 to 1.
pub(super) fn suggested(
    window: &Window,
    (from, until): (OffsetDateTime, OffsetDateTime),
    issued: OffsetDateTime,
    chosen: Option<OffsetDateTime>,
    random: f64,
) -> Option<OffsetDateTime> {
    let Window { start, end } = *window;
    if end < start {
        return None;
    }
    let life = (until - from).unsigned_abs();
    let next = chosen
        .filter(|chosen| (start..=end).contains(chosen))
        .unwrap_or_else(|| start + (end - start).unsigned_abs().mul_f64(random));
    let latest = from + life.mul_f64(LATEST_SHARE);
    Some(next.min(latest).max(issued + (life / 10).min(SHORTEST_USE)))
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
    fn a_certificate_of_six_days_is_renewed_at_half_of_its_life() {
        let until = START + 6 * DAY;
        assert_eq!(renewal(START, until, START, 0.0) - START, 3 * DAY);
        assert!(renewal(START, until, START, 1.0) - START > 2 * DAY);
        // Then it has days for retries, of which none waits for more than a tenth of what is left.
        let (mut now, mut tries) = (START + 3 * DAY, 0);
        while now < until {
            tries += 1;
            let delay = retry_delay(tries, Some((START, until)), now, None, 0.0);
            assert!(delay <= 8 * HOUR, "{delay:?}");
            now += delay;
        }
        assert!((20..=60).contains(&tries), "{tries}");
    }

    #[test]
    fn a_time_in_the_window_of_the_directory_is_chosen_once() {
        let validity = (START, START + 90 * DAY);
        let window = Window { start: START + 50 * DAY, end: START + 52 * DAY };
        let choose = |chosen, random| suggested(&window, validity, START, chosen, random).unwrap() - START;
        assert_eq!(choose(None, 0.0), 50 * DAY);
        assert_eq!(choose(None, 0.5), 51 * DAY);
        assert_eq!(choose(Some(START + 52 * DAY), 0.0), 52 * DAY);
        assert_eq!(choose(Some(START + 53 * DAY), 0.5), 51 * DAY);
    }

    #[test]
    fn a_window_in_the_past_means_now_but_not_one_order_after_another() {
        let window = Window { start: START - 2 * DAY, end: START - DAY };
        let next = |life, issued| suggested(&window, (START, START + life), issued, None, 0.5).unwrap();
        assert_eq!(next(90 * DAY, START), START + DAY);
        assert_eq!(next(6 * DAY, START), START + 14 * HOUR + 24 * Duration::from_mins(1));
        // This clock is years ahead.
        assert_eq!(next(90 * DAY, START + 900 * DAY), START + 901 * DAY);
    }

    #[test]
    fn an_odd_window_is_not_followed_to_the_end_of_the_certificate() {
        let validity = (START, START + 10 * DAY);
        let late = Window { start: START + 10 * DAY, end: START + 900 * DAY };
        assert_eq!(suggested(&late, validity, START, None, 1.0), Some(START + 9 * DAY));
        let reversed = Window { start: late.end, end: late.start };
        assert_eq!(suggested(&reversed, validity, START, None, 0.0), None);
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
