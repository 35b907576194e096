//! The delays that the engine has told.
//!
//! During one, the engine is not asked at every request, however many there are. While it is away,
//! the delays that are known go on.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// How long a delay counts without a question. It may end before its time: a charge that another
/// replica has not decided yet may be refunded.
const FRESH: Duration = Duration::from_secs(1);
/// The most delays that are known at once.
const MOST: usize = 65_536;

/// The delays by account.
pub(super) struct Told<K>(HashMap<K, Delay>);

struct Delay {
    end: Instant,
    /// When the engine said so.
    heard: Instant,
}

impl<K: Eq + Hash> Told<K> {
    /// Notes the rest of a delay. If too many are known, this one is not.
    pub(super) fn note(&mut self, account: K, left: Duration, now: Instant) {
        if self.0.len() >= MOST && !self.0.contains_key(&account) {
            self.0.retain(|_, delay| now < delay.end);
            if self.0.len() >= MOST {
                return;
            }
        }
        self.0.insert(account, Delay { end: now + left, heard: now });
    }

    pub(super) fn forget(&mut self, account: &K) {
        self.0.remove(account);
    }

    /// The rest of a delay that was heard of just now.
    pub(super) fn fresh(&self, account: &K, now: Instant) -> Option<Duration> {
        self.left(account, now, |delay| now < delay.heard + FRESH)
    }

    /// The rest of a delay that was heard of at any time.
    pub(super) fn last(&self, account: &K, now: Instant) -> Option<Duration> {
        self.left(account, now, |_| true)
    }

    fn left(&self, account: &K, now: Instant, counts: impl Fn(&Delay) -> bool) -> Option<Duration> {
        let delay = self.0.get(account).filter(|delay| now < delay.end && counts(delay))?;
        Some(delay.end.saturating_duration_since(now))
    }
}

impl<K> Default for Told<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_delay_is_fresh_for_a_second_and_known_to_its_end() {
        let (mut told, start) = (Told::default(), Instant::now());
        told.note("alice", SECOND * 20, start);
        assert_eq!(told.fresh(&"alice", start + SECOND / 2), Some(SECOND * 39 / 2));
        assert_eq!(told.fresh(&"alice", start + SECOND), None);
        assert_eq!(told.last(&"alice", start + SECOND * 19), Some(SECOND));
        assert_eq!(told.last(&"alice", start + SECOND * 20), None);
        assert_eq!(told.last(&"bob", start), None);
        told.forget(&"alice");
        assert_eq!(told.last(&"alice", start), None);
    }

    #[test]
    fn a_flood_of_accounts_is_bounded() {
        let (mut told, start) = (Told::default(), Instant::now());
        for account in 0..MOST + 5 {
            told.note(account, SECOND, start);
        }
        assert_eq!((told.0.len(), told.last(&MOST, start)), (MOST, None));
        told.note(MOST, SECOND, start + SECOND);
        assert_eq!((told.0.len(), told.last(&MOST, start + SECOND)), (1, Some(SECOND)));
    }
}
