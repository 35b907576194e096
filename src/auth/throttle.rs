//! How often somebody may be wrong: failures are counted by client network and user together. By the user alone, a
//! stranger could lock him out.
//!
//! What may fail is charged before it is tried, so that many tries at once are no way around the limit, and what did not fail is
//! given back.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};

use crate::config;
use crate::network::Network;

/// So many networks and users are counted at once.
const MOST: usize = 65_536;
/// So many are forgotten when there is no room for another.
const FORGOTTEN: usize = MOST / 16;

/// The failures of everybody, shared by all cores.
#[derive(Clone)]
pub struct Throttle(Arc<Mutex<Accounts>>);

struct Accounts {
    settings: config::Throttle,
    open: HashMap<Key, Account>,
}

/// Whose failures. A user may be anything that a client sends, so what is kept of him is a digest.
type Key = (Network, [u8; 32]);

/// The failures since the first one.
struct Account {
    since: Instant,
    latest: Instant,
    charges: usize,
}

impl Throttle {
    /// Counts by these settings.
    pub fn new(settings: config::Throttle) -> Throttle {
        Throttle(Arc::new(Mutex::new(Accounts { settings, open: HashMap::new() })))
    }

    /// Counts by others from now on; what has been counted stays.
    pub fn set(&self, settings: config::Throttle) {
        self.accounts().settings = settings;
    }

    /// To be called before something is tried that can fail. The failures of a user, known or not, from one network are counted
    /// from the first one on until the window has passed. The one that makes them too many lets the delay begin.
    ///
    /// # Errors
    /// During the delay: how much of it is left.
    pub fn charge(&self, network: Network, user: &[u8], now: Instant) -> Result<Charge, Duration> {
        let mut accounts = self.accounts();
        let settings = accounts.settings;
        if settings.failures == 0 {
            return Ok(Charge(None));
        }
        let key = key(network, user);
        let since = match accounts.open.get_mut(&key) {
            Some(account) if now < account.end(&settings) => {
                if account.is_full(&settings) {
                    return Err(account.end(&settings).saturating_duration_since(now));
                }
                account.charges += 1;
                account.latest = now;
                account.since
            }
            _ => {
                accounts.make_room(now);
                accounts.open.insert(key, Account { since: now, latest: now, charges: 1 });
                now
            }
        };
        Ok(Charge(Some(Debt { throttle: self.clone(), key, since })))
    }

    /// How much is left of the delay, during one.
    pub fn delay_left(&self, network: Network, user: &[u8], now: Instant) -> Option<Duration> {
        let accounts = self.accounts();
        let account = accounts.open.get(&key(network, user))?;
        let end = account.end(&accounts.settings);
        (accounts.settings.failures > 0 && account.is_full(&accounts.settings) && now < end)
            .then(|| end.saturating_duration_since(now))
    }

    fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(network: Network, user: &[u8]) -> Key {
    let mut name = [0; 32];
    name.copy_from_slice(digest(&SHA256, user).as_ref());
    (network, name)
}

impl Account {
    fn is_full(&self, settings: &config::Throttle) -> bool {
        self.charges >= settings.failures
    }

    /// When nothing of it counts any more.
    fn end(&self, settings: &config::Throttle) -> Instant {
        if self.is_full(settings) { self.latest + settings.delay } else { self.since + settings.window }
    }
}

impl Accounts {
    /// Forgets what no longer counts, then the oldest, and who has to wait last of all.
    fn make_room(&mut self, now: Instant) {
        if self.open.len() < MOST {
            return;
        }
        let settings = self.settings;
        self.open.retain(|_, account| now < account.end(&settings));
        if self.open.len() < MOST {
            return;
        }
        let order = |(key, account): (&Key, &Account)| (account.is_full(&settings), account.latest, *key);
        let mut order: Vec<_> = self.open.iter().map(order).collect();
        order.select_nth_unstable(FORGOTTEN);
        for (_, _, key) in order.iter().take(FORGOTTEN) {
            self.open.remove(key);
        }
    }
}

/// What may become a failure; dropped, it was none, and is given back.
#[must_use = "what is dropped does not count"]
pub struct Charge(Option<Debt>);

struct Debt {
    throttle: Throttle,
    key: Key,
    since: Instant,
}

impl Charge {
    /// It was a failure.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Some(Debt { throttle, key, since }) = self.0.take() else { return };
        let mut accounts = throttle.accounts();
        if let Some(account) = accounts.open.get_mut(&key).filter(|account| account.since == since) {
            account.charges -= 1;
            if account.charges == 0 {
                accounts.open.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
