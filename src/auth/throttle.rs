//! The limit on failed attempts. Failures are counted by client network and user together: counted
//! by user alone, a stranger could lock the user out. Beside that, the failures of a network are
//! counted for all its users together (`crowd`).
//!
//! An attempt is charged before it is made, so that many attempts at once cannot pass the limit.
//! The charge is refunded if the attempt succeeds.
//!
//! Replicas that share an engine charge an attempt there first (`shared`), so that they have one
//! limit together. Each counts its own attempts all the same, for when the engine is away.

mod crowd;
mod shared;
mod told;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;

use crate::config;
use crate::engine::{Away, Engine, PATIENCE};
use crate::network::Network;
use crowd::Crowds;
pub(super) use shared::SharedCharge;
use shared::SharedCount;
use told::Told;

/// The most accounts that are kept at once.
const MOST: usize = 65_536;
/// How many of them are dropped when there is no room for another.
const FORGOTTEN: usize = MOST / 16;

/// The failures of all clients, shared by all workers.
#[derive(Clone)]
pub struct Throttle {
    tally: Arc<Mutex<Tally>>,
    /// The count that replicas share, if they share one.
    shared: Option<SharedCount>,
}

/// What was tried, by the name that the client gave, which may be anybody's. Passwords and
/// identity tokens are counted apart: a client whose login has ended must be able to log in again.
#[derive(Clone, Copy)]
pub enum Account<'a> {
    Password(&'a [u8]),
    Login(&'a [u8]),
    /// A token that names no user. Anybody can make up any number of these, so only this replica
    /// counts them.
    Token(&'a [u8]),
    /// Somebody in a directory, by the directory's spelling of their name, from whatever network: a
    /// directory locks people who have too many wrong passwords.
    Directory(&'a [u8]),
    /// The tokens of an issuer, by its name.
    Issuer(&'a [u8]),
}

impl<'a> Account<'a> {
    /// What the client gave: a user, or a token.
    pub fn claimed(self) -> &'a [u8] {
        let (Self::Password(claimed)
        | Self::Login(claimed)
        | Self::Token(claimed)
        | Self::Directory(claimed)
        | Self::Issuer(claimed)) = self;
        claimed
    }
}

struct Tally {
    settings: config::Throttle,
    open: HashMap<Key, Failures>,
    /// What the engine has said about accounts.
    told: Told<Key>,
    crowds: Crowds,
}

/// An account of one network. The name may be long, so only its digest is kept.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Key {
    network: Network,
    kind: Kind,
    name: [u8; 32],
}

/// What is counted apart. Identity tokens count together, whether or not they name a user.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Password,
    Login,
    Directory,
    Issuer,
}

/// The failures since the first one.
struct Failures {
    since: Instant,
    latest: Instant,
    charges: usize,
}

impl Throttle {
    pub fn new(settings: config::Throttle) -> Throttle {
        let tally =
            Tally { settings, open: HashMap::new(), told: Told::default(), crowds: Crowds::default() };
        Throttle { tally: Arc::new(Mutex::new(tally)), shared: None }
    }

    /// Counts together with the other replicas that share the engine.
    pub(super) fn share(&mut self, engine: &Engine) {
        self.shared = Some(SharedCount::new(engine));
    }

    /// Changes the limits. Failures counted so far remain.
    pub fn set(&self, settings: config::Throttle) {
        self.tally().settings = settings;
    }

    /// Whether an attempt needs the word of the engine ([`Self::ask`]).
    pub(super) fn is_shared(&self) -> bool {
        self.shared.is_some() && self.tally().settings.failures > 0
    }

    /// Charges an attempt in the engine, if replicas share one. `None` means that it is away, or
    /// did not answer until `until`: what this replica counts decides alone. The future may be
    /// dropped.
    ///
    /// # Errors
    /// The rest of the delay, if there is one.
    pub(super) async fn ask(
        &self,
        network: Network,
        account: Account<'_>,
        until: Instant,
    ) -> Result<Option<SharedCharge>, Duration> {
        let (settings, key) = (self.tally().settings, Key::of(network, account));
        let Some(shared) = self.shared.as_ref().filter(|_| settings.failures > 0) else { return Ok(None) };
        let kind: &[u8] = match account {
            Account::Password(_) => b"password",
            Account::Login(_) => b"login",
            Account::Directory(_) => b"directory",
            Account::Issuer(_) => b"issuer",
            Account::Token(_) => return Ok(None),
        };
        let name = account.claimed();
        let address = network.address().to_string();
        let answer = shared.charge(&[kind, address.as_bytes(), name], settings, until).await;
        let (mut tally, now) = (self.tally(), Instant::now());
        match answer {
            Ok(Ok(charge)) => {
                tally.told.forget(&key);
                Ok(Some(charge))
            }
            Ok(Err(left)) => {
                tally.told.note(key, left, now);
                Err(left)
            }
            Err(Away) => tally.told.last(&key, now).map_or(Ok(None), Err),
        }
    }

    /// Charges an attempt before it is made, in the engine too.
    ///
    /// # Errors
    /// The rest of the delay, if there is one.
    pub async fn charge_everywhere(
        &self,
        network: Network,
        account: Account<'_>,
    ) -> Result<Charge, Duration> {
        let now = Instant::now();
        if let Some(left) = self.delay_left(network, account, now) {
            return Err(left);
        }
        let shared = self.ask(network, account, now + PATIENCE).await?;
        Ok(self.charge(network, account, Instant::now())?.with(shared))
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
                    return Err(failures.left(&settings, now));
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
        Ok(Charge(Some(Debt { throttle: self.clone(), key, since, shared: None })))
    }

    /// The rest of the delay, if one is known here.
    pub fn delay_left(&self, network: Network, account: Account<'_>, now: Instant) -> Option<Duration> {
        let tally = self.tally();
        if tally.settings.failures == 0 {
            return None;
        }
        let key = Key::of(network, account);
        let settings = &tally.settings;
        let is_full = |failures: &&Failures| failures.is_full(settings) && now < failures.end(settings);
        let left = tally.open.get(&key).filter(is_full).map(|failures| failures.left(settings, now));
        left.or_else(|| tally.told.fresh(&key, now).map(|left| left.min(settings.delay)))
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
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Key {
    fn of(network: Network, account: Account<'_>) -> Self {
        let mut name = [0; 32];
        name.copy_from_slice(digest(&SHA256, account.claimed()).as_ref());
        let kind = match account {
            Account::Password(_) => Kind::Password,
            Account::Login(_) | Account::Token(_) => Kind::Login,
            Account::Directory(_) => Kind::Directory,
            Account::Issuer(_) => Kind::Issuer,
        };
        Self { network, kind, name }
    }
}

impl Failures {
    fn is_full(&self, settings: &config::Throttle) -> bool {
        self.charges >= settings.failures
    }

    /// The rest of the delay. Other requests may have got the lock between `now` and this one.
    fn left(&self, settings: &config::Throttle, now: Instant) -> Duration {
        self.end(settings).saturating_duration_since(now).min(settings.delay)
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
    /// The same attempt, in the engine.
    shared: Option<SharedCharge>,
}

impl Charge {
    /// Adds the charge in the engine, which shares the fate of this one.
    pub(super) fn with(mut self, shared: Option<SharedCharge>) -> Charge {
        if let Some(debt) = &mut self.0 {
            debt.shared = shared;
        }
        self
    }

    /// The attempt has failed: keeps the charge.
    pub fn keep(mut self) {
        let Some(Debt { throttle, key, shared, .. }) = self.0.take() else { return };
        if let Some(shared) = shared {
            shared.keep();
        }
        if key.kind == Kind::Password {
            let mut tally = throttle.tally();
            let settings = tally.settings;
            tally.crowds.count(key.network, &settings, Instant::now());
        }
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        let Some(Debt { throttle, key, since, shared: _ }) = self.0.take() else { return };
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
