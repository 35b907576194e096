//! How long refusals take, so that they do not tell users apart.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const BINDS: usize = 16;
const LONGEST: Duration = Duration::from_secs(1);

/// How long the latest binds of users took.
#[derive(Default)]
pub(super) struct Pace(Mutex<VecDeque<Duration>>);

impl Pace {
    pub(super) fn note(&self, took: Duration) {
        let mut binds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if binds.len() == BINDS {
            binds.pop_front();
        }
        binds.push_back(took);
    }

    /// When to answer a refusal whose bind began then: as late as the slowest of the latest.
    pub(super) fn end(&self, begun: Instant) -> Instant {
        let binds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        begun + binds.iter().max().copied().unwrap_or_default().min(LONGEST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_takes_as_long_as_the_slowest_of_the_latest_binds() {
        let (pace, now) = (Pace::default(), Instant::now());
        let ms = Duration::from_millis;
        assert_eq!(pace.end(now), now);
        pace.note(ms(50));
        (0..BINDS - 1).for_each(|_| pace.note(ms(3)));
        assert_eq!(pace.end(now), now + ms(50));
        pace.note(ms(2));
        assert_eq!(pace.end(now), now + ms(3));
        pace.note(ms(2000));
        assert_eq!(pace.end(now), now + LONGEST);
    }
}
