//! A bounded map whose entries expire after a fixed time.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

/// A digest of something secret: HMAC-SHA-256 of user and password under a key of this process, or
/// SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) [u8; 32]);

/// Remembers a value per key until it expires or `capacity` newer values have been inserted.
///
/// All values live equally long, so the oldest expires next, and one queue serves both bounds.
pub(crate) struct Cache<V> {
    capacity: usize,
    life: Duration,
    entries: HashMap<Key, (V, Instant)>,
    /// Every insertion with its expiry, the oldest first. If its expiry differs from the entry's, a
    /// later insertion has replaced the value.
    order: VecDeque<(Key, Instant)>,
}

impl<V> Cache<V> {
    /// A life or a capacity of zero remembers nothing.
    pub(crate) fn new(capacity: usize, life: Duration) -> Self {
        let capacity = if life.is_zero() { 0 } else { capacity };
        Self { capacity, life, entries: HashMap::new(), order: VecDeque::new() }
    }

    pub(crate) fn get(&self, key: &Key, now: Instant) -> Option<&V> {
        self.entries.get(key).filter(|(_, expires)| now < *expires).map(|(value, _)| value)
    }

    pub(crate) fn get_mut(&mut self, key: &Key, now: Instant) -> Option<(&mut V, Instant)> {
        let entry = self.entries.get_mut(key).filter(|(_, expires)| now < *expires);
        entry.map(|(value, expires)| (value, *expires))
    }

    pub(crate) fn insert(&mut self, key: Key, value: V, now: Instant) {
        let Some(expires) = now.checked_add(self.life) else { return };
        if self.capacity == 0 {
            return;
        }
        while let Some((_, oldest)) = self.order.front()
            && (self.order.len() >= self.capacity || *oldest <= now)
        {
            self.forget_oldest();
        }
        self.order.push_back((key, expires));
        self.entries.insert(key, (value, expires));
    }

    fn forget_oldest(&mut self) {
        let Some((key, expires)) = self.order.pop_front() else { return };
        if self.entries.get(&key).is_some_and(|(_, current)| *current == expires) {
            self.entries.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u32) -> Key {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        Key(bytes)
    }

    #[test]
    fn forgets_when_the_time_is_up() {
        let mut cache = Cache::new(10, Duration::from_secs(5));
        let start = Instant::now();
        cache.insert(key(1), 'a', start);
        assert_eq!(cache.get(&key(1), start + Duration::from_millis(4999)), Some(&'a'));
        assert_eq!(cache.get(&key(1), start + Duration::from_secs(5)), None);
        cache.insert(key(2), 'b', start + Duration::from_secs(5));
        assert_eq!(cache.entries.len(), 1);
    }

    #[test]
    fn never_holds_more_than_its_capacity() {
        let mut cache = Cache::new(3, Duration::from_secs(5));
        let now = Instant::now();
        for number in 0..1000 {
            cache.insert(key(number), number, now);
            cache.insert(key(number % 2), number, now);
            assert!(cache.entries.len() <= 3 && cache.order.len() <= 3);
        }
        assert_eq!(cache.get(&key(999), now), Some(&999));
    }

    #[test]
    fn a_renewed_entry_outlives_its_first_insertion() {
        let mut cache = Cache::new(2, Duration::from_secs(5));
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        cache.insert(key(1), 'a', start);
        cache.insert(key(1), 'b', later);
        cache.insert(key(2), 'c', later);
        assert_eq!(cache.get(&key(1), later), Some(&'b'));
        assert_eq!(cache.get(&key(2), later), Some(&'c'));
    }

    #[test]
    fn zero_remembers_nothing() {
        let now = Instant::now();
        for mut cache in [Cache::new(0, Duration::from_secs(5)), Cache::new(5, Duration::ZERO)] {
            cache.insert(key(1), (), now);
            assert_eq!(cache.get(&key(1), now), None);
        }
    }
}
