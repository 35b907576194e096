//! When the next attempt is due.

use std::time::Duration;

use aws_lc_rs::rand;
use time::OffsetDateTime;

/// Of a certificate's life, after which it is renewed ...
const SHARE: f64 = 2.0 / 3.0;
/// ... or up to this much earlier, so that not all who have one of the same day come at once.
const SPREAD: f64 = 0.05;

const FIRST_PAUSE: Duration = Duration::from_secs(5);
const GROWTH: u32 = 6;
const LONGEST_PAUSE: Duration = Duration::from_hours(6);
/// No directory that works asks for more.
const LONGEST_WISH: Duration = Duration::from_hours(7 * 24);

/// When a certificate that is issued `now` and good `until` is to be renewed. `random` is from 0 to 1.
pub(super) fn renewal(now: OffsetDateTime, until: OffsetDateTime, random: f64) -> OffsetDateTime {
    now + (until - now) * (SHARE - SPREAD * random)
}

/// How long to wait after so many failures in a row: 5 s, 30 s, 3 min, 18 min and so on to 6 h; but no longer than a tenth of
/// what is `left` of the certificate's life, lest the time run out while there is hope; and no shorter than the directory
/// has `wished`.
pub(super) fn pause(
    failures: u32,
    left: Option<Duration>,
    wished: Option<Duration>,
    random: f64,
) -> Duration {
    let steps = GROWTH.saturating_pow(failures.saturating_sub(1));
    let pause = FIRST_PAUSE.saturating_mul(steps).min(LONGEST_PAUSE).mul_f64(1.0 - SPREAD * random);
    let pause = left.map_or(pause, |left| pause.min(left / 10)).max(FIRST_PAUSE);
    pause.max(wished.unwrap_or_default().min(LONGEST_WISH))
}

/// From 0 to 1.
pub(super) fn random() -> f64 {
    let mut bytes = [0; 4];
    // Without random numbers TLS fails, and a certificate is of no use.
    _ = rand::fill(&mut bytes);
    f64::from(u32::from_ne_bytes(bytes)) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_renewed_when_two_thirds_of_its_life_are_over_or_a_little_earlier() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let until = now + Duration::from_hours(90 * 24);
        assert_eq!((renewal(now, until, 0.0) - now).whole_days(), 60);
        assert_eq!((renewal(now, until, 1.0) - now).whole_days(), 55);
    }

    #[test]
    fn pauses_grow_to_six_hours() {
        let seconds = |failures| pause(failures, None, None, 0.0).as_secs();
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(seconds), [5, 30, 180, 1080, 6480, 21600, 21600]);
        assert_eq!(seconds(u32::MAX), 21600);
        assert!(pause(6, None, None, 1.0) < pause(6, None, None, 0.5));
        assert_eq!(pause(1, None, None, 1.0), FIRST_PAUSE);
    }

    #[test]
    fn a_pause_is_no_longer_than_a_tenth_of_the_life_that_is_left() {
        let hour = Duration::from_hours(1);
        assert_eq!(pause(9, Some(hour), None, 0.0), hour / 10);
        assert_eq!(pause(9, Some(Duration::from_secs(3)), None, 0.0), FIRST_PAUSE);
    }

    #[test]
    fn the_directory_may_ask_for_more_but_not_for_ever() {
        let hour = Duration::from_hours(1);
        assert_eq!(pause(1, Some(hour), Some(hour), 0.0), hour);
        assert_eq!(pause(5, None, Some(Duration::from_secs(1)), 0.0).as_secs(), 6480);
        assert_eq!(pause(1, None, Some(Duration::MAX), 0.0), LONGEST_WISH);
    }
}
