//! The limit on failed attempts. Failures are counted by client network and user together: counted
//! by user alone, a stranger could lock the user out. Beside that, the failures of a network are
//! counted for all its users together (`crowd`).
//!
//! An attempt is charged before it is made, so that many attempts at once cannot pass the limit.
//! The charge is refunded if the attempt succeeds.

mod crowd;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;

use crate::config;
use crate::network::Network;
use crowd::Crowds;

/// The most accounts that are kept at once.
const MOST: usize = 65_536;
/// How many of them are dropped when there is no room for another.
const FORGOTTEN: usize = MOST / 16;

/// The failures of all clients, shared by all workers.
#[derive(Clone)]
pub struct Throttle(Arc<Mutex<Tally>>);

/// What was tried, by the name that the client gave, which may be anybody's. Passwords and
/// identity tokens are counted apart: a client whose login has ended must be able to log in again.
#[derive(Clone, Copy)]
pub enum Account<'a> {
    Password(&'a [u8]),
    Login(&'a [u8]),
}

struct Tally {
    settings: config::Throttle,
    open: HashMap<Key, Failures>,
    crowds: Crowds,
}

/// An account of one network. The name may be long, so only its digest is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    network: Network,
    is_login: bool,
    name: [u8; 32],
}

/// The failures since the first one.
struct Failures {
    since: Instant,
    latest: Instant,
    charges: usize,
}

impl Throttle {
    pub fn new(settings: config::Throttle) -> Throttle {
        Throttle(Arc::new(Mutex::new(Tally { settings, open: HashMap::new(), crowds: Crowds::default() })))
    }

    /// Changes the limits. Failures counted so far remain.
    pub fn set(&self, settings: config::Throttle) {
        self.tally().settings = settings;
    }

    /// Charges an attempt before it is made. The failures of an account, whether or not the user
    /// exists, are counted until the window since the first one has passed. The failure that
    /// reaches the limit starts the delay.
    ///
    /// # Errors
    /// The rest of the delay, if there is one.
    pub fn charge(&self, network: Network, account: Account<'_>, now: Instant) -> Result<Charge, Duration> {
        let mut tally = self.tally();
        let settings = tally.settings;
        if settings.failures == 0 {
            return Ok(Charge(None));
        }
        let key = Key::of(network, account);
        let since = match tally.open.get_mut(&key) {
            Some(failures) if now < failures.end(&settings) => {
                if failures.is_full(&settings) {
                    return Err(failures.end(&settings).saturating_duration_since(now));
                }
                failures.charges += 1;
                failures.latest = now;
                failures.since
            }
            _ => {
                tally.make_room(now);
                tally.open.insert(key, Failures { since: now, latest: now, charges: 1 });
                now
            }
        };
        Ok(Charge(Some(Debt { throttle: self.clone(), key, since })))
    }

    /// The rest of the delay, if there is one.
    pub fn delay_left(&self, network: Network, account: Account<'_>, now: Instant) -> Option<Duration> {
        let tally = self.tally();
        let failures = tally.open.get(&Key::of(network, account))?;
        let end = failures.end(&tally.settings);
        (tally.settings.failures > 0 && failures.is_full(&tally.settings) && now < end)
            .then(|| end.saturating_duration_since(now))
    }

    /// How long the answer to a wrong password has to wait, if many passwords from this network
    /// were wrong, for whatever users.
    pub fn answer_delay(&self, network: Network, now: Instant) -> Option<Duration> {
        let mut tally = self.tally();
        let settings = tally.settings;
        tally.crowds.delay(network, &settings, now)
    }

    /// How many passwords from this network were wrong lately, for whatever users.
    pub fn failures(&self, network: Network, now: Instant) -> usize {
        let tally = self.tally();
        tally.crowds.failures(network, &tally.settings, now)
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn of(network: Network, account: Account<'_>) -> Self {
        let (is_login, user) = match account {
            Account::Password(user) => (false, user),
            Account::Login(user) => (true, user),
        };
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, user).as_ref());
        Self { network, is_login, name }
    }
}

impl Failures {
    fn is_full(&self, settings: &config::Throttle) -> bool {
        self.charges >= settings.failures
    }

    /// When the failures expire.
    fn end(&self, settings: &config::Throttle) -> Instant {
        if self.is_full(settings) { self.latest + settings.delay } else { self.since + settings.window }
    }
}

impl Tally {
    /// Drops expired accounts. If that is not enough, drops the oldest ones, but delayed ones last.
    fn make_room(&mut self, now: Instant) {
        if self.open.len() < MOST {
            return;
        }
        let settings = self.settings;
        self.open.retain(|_, failures| now < failures.end(&settings));
        if self.open.len() < MOST {
            return;
        }
        let order = |(key, failures): (&Key, &Failures)| (failures.is_full(&settings), failures.latest, *key);
        let mut order: Vec<_> = self.open.iter().map(order).collect();
        order.select_nth_unstable(FORGOTTEN);
        for (_, _, key) in order.iter().take(FORGOTTEN) {
            self.open.remove(key);
        }
    }
}

/// An attempt that was charged. Dropping it refunds the charge.
#[must_use = "dropping it refunds the charge"]
pub struct Charge(Option<Debt>);

struct Debt {
    throttle: Throttle,
    key: Key,
    since: Instant,
}

impl Charge {
    /// The attempt has failed: keeps the charge.
    pub fn keep(mut self) {
        let Some(Debt { throttle, key, .. }) = self.0.take() else { return };
        if !key.is_login {
            let mut tally = throttle.tally();
            let settings = tally.settings;
            tally.crowds.count(key.network, &settings, Instant::now());
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Some(Debt { throttle, key, since }) = self.0.take() else { return };
        let mut tally = throttle.tally();
        if let Some(failures) = tally.open.get_mut(&key).filter(|failures| failures.since == since) {
            failures.charges -= 1;
            if failures.charges == 0 {
                tally.open.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests;
