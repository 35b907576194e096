//! Whether a password is a user's: at the cost of one hash, not of one hash per request.
//!
//! A failed check costs the same whoever was asked for (see `verifier/check.rs`), so that the time it takes does not
//! tell who exists. Everything that happens between two requests happens under one short lock.

mod check;

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::config;
use crate::network::Network;
use crate::secret::Secret;

use super::hash::{Fingerprint, StoredHash};
use super::htpasswd::Htpasswd;
use super::person::Person;
use super::pool::Pool;
use super::throttle::{Account, Charge, Throttle};
use crate::cache::{Cache, Key};
use crate::user::User;
use check::check;

/// Wrong passwords are remembered so long: enough for a client that tries again at once.
const WRONG_LIFE: Duration = Duration::from_secs(3);
/// And so many of them, whoever sends them.
const WRONG_SIZE: usize = 1024;
/// From so many networks a password that is known counts also while the throttle holds them up.
const KNOWN_NETWORKS: usize = 64;
/// How often a check waits for another of the same password that was made against a different stored hash.
/// It takes an edit of the file between the two; more than a few in a row are somebody's game.
const PATIENCE: usize = 8;

/// The answer to a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password of this user.
    Right(Person),
    /// It is not, or there is no such user; which of the two nobody learns.
    Wrong,
    /// It could not be checked now. Ask again later.
    Busy,
    /// It is not checked, after too many that were wrong. Ask again when this time has passed.
    Throttled(Duration),
}

/// Checks passwords for the whole process, shared by all cores.
pub struct Verifier {
    shared: Arc<Shared>,
    throttle: Throttle,
    pool: Pool,
    key: hmac::Key,
}

/// What the hashing threads write to as well.
struct Shared {
    state: Mutex<State>,
    /// The work of each check since the start, in units of bcrypt: a hash of cost c counts 2^c.
    #[cfg(test)]
    computed: Mutex<Vec<u64>>,
}

/// A stored hash of `None` is a user who does not exist.
struct State {
    right: Cache<Known>,
    wrong: Cache<Option<Fingerprint>>,
    running: HashMap<Key, Running>,
}

/// A password that was right.
struct Known {
    stored: Fingerprint,
    /// Where it came from, the latest last.
    networks: Vec<Network>,
}

impl Known {
    fn remember(&mut self, network: Network) {
        if self.networks.len() == KNOWN_NETWORKS {
            self.networks.remove(0);
        }
        self.networks.push(network);
    }
}

/// A check that waits in the queue or is being computed.
#[derive(Clone)]
struct Running {
    network: Network,
    against: Option<Fingerprint>,
    outcome: watch::Receiver<Option<bool>>,
}

/// What is to be checked, and who wants to know.
struct Asked<'a> {
    network: Network,
    name: &'a [u8],
    password: &'a Secret,
    key: Key,
    found: Option<(&'a User, &'a Arc<StoredHash>)>,
}

impl Asked<'_> {
    fn against(&self) -> Option<Fingerprint> {
        self.found.map(|(_, stored)| *stored.fingerprint())
    }

    /// Nobody has the password of a user who does not exist.
    fn right(&self) -> Verdict {
        self.found.map_or(Verdict::Wrong, |(user, stored)| {
            Verdict::Right(Person { user: user.clone(), fingerprint: *stored.fingerprint() })
        })
    }
}

/// How far a look at the state brings a request.
enum Step {
    Answered(Verdict),
    Wait(Running),
}

impl Verifier {
    /// Starts the hashing threads. Fails when the system gives no thread or no randomness.
    pub fn new(settings: &config::Auth) -> io::Result<Verifier> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .map_err(|_| io::Error::other("the system gives no random numbers"))?;
        let state = State {
            right: Cache::new(settings.cache_size, settings.cache_ttl),
            wrong: Cache::new(WRONG_SIZE, WRONG_LIFE),
            running: HashMap::new(),
        };
        let shared = Shared {
            state: Mutex::new(state),
            #[cfg(test)]
            computed: Mutex::default(),
        };
        let pool = Pool::start(settings.hash_threads, settings.hash_queue)?;
        Ok(Self { shared: Arc::new(shared), throttle: Throttle::new(settings.throttle), pool, key })
    }

    /// Counts the wrong passwords that were computed, and whatever else fails like one.
    pub fn throttle(&self) -> &Throttle {
        &self.throttle
    }

    /// Checks a password that comes from the address `from` against `users` as they are now: a user who was removed, or whose hash
    /// was changed, is judged anew whatever was remembered of him.
    ///
    /// Works on any runtime and may be dropped at any time; a check that has begun is finished and remembered.
    /// Looks at the first 72 bytes of the password where the stored hash is bcrypt.
    pub async fn verify(&self, users: &Htpasswd, from: IpAddr, name: &[u8], password: &Secret) -> Verdict {
        if password.expose().contains(&0) {
            return Verdict::Wrong;
        }
        let key = self.key(name, password);
        let asked = Asked { network: Network::of(from), name, password, key, found: users.get(name) };
        for _ in 0..PATIENCE {
            let mut running = match self.step(&asked, users.highest_cost()) {
                Step::Answered(verdict) => return verdict,
                Step::Wait(running) => running,
            };
            // An error is a check that died of a panic.
            let outcome =
                running.outcome.wait_for(Option::is_some).await.map(|outcome| *outcome).ok().flatten();
            if running.against == asked.against() {
                return match outcome {
                    Some(true) => asked.right(),
                    Some(false) => Verdict::Wrong,
                    None => Verdict::Busy,
                };
            }
        }
        Verdict::Busy
    }

    /// The lengths keep `a` with `bc` apart from `ab` with `c`. Nothing of the server's state goes in: who
    /// asks for two users or two files must not be able to tell them apart by what is shared.
    fn key(&self, user: &[u8], password: &Secret) -> Key {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [user, password.expose()] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.sign().as_ref());
        Key(key)
    }

    /// Answers from memory, or joins the check of this password that runs, or starts it.
    ///
    /// Who has been wrong too often gets an answer only to a password that came from his network before. To another that is known
    /// he could otherwise find out by trying, at no cost, which one a user who is in has.
    fn step(&self, asked: &Asked<'_>, cost: u32) -> Step {
        let Asked { network, name, password, key, found } = *asked;
        let (account, against) = (Account::Password(name), asked.against());
        let now = Instant::now();
        let mut state = self.shared.state();
        let State { right, wrong, running } = &mut *state;
        let known = right.get_mut(&key, now).filter(|known| Some(known.stored) == against);
        if known.as_ref().is_some_and(|known| known.networks.contains(&network)) {
            return Step::Answered(asked.right());
        }
        if wrong.get(&key, now) == Some(&against) {
            return Step::Answered(Verdict::Wrong);
        }
        let same = running.get(&key);
        if let Some(running) = same.filter(|running| running.network == network) {
            return Step::Wait(running.clone());
        }
        if let Some(left) = self.throttle.delay_left(network, account, now) {
            return Step::Answered(Verdict::Throttled(left));
        }
        if let Some(known) = known {
            known.remember(network);
            return Step::Answered(asked.right());
        }
        if let Some(running) = same {
            return Step::Wait(running.clone());
        }
        let charge = match self.throttle.charge(network, account, now) {
            Ok(charge) => charge,
            Err(left) => return Step::Answered(Verdict::Throttled(left)),
        };

        let (sender, outcome) = watch::channel(None);
        let shared = Arc::clone(&self.shared);
        let (stored, password) = (found.map(|(_, stored)| stored.clone()), password.clone());
        let submitted = self.pool.submit(Box::new(move || {
            let mut landing =
                Landing { shared: &shared, key, network, against, right: None, charge: Some(charge), sender };
            let checked = check(stored.as_deref(), cost, password.expose());
            #[cfg(test)]
            shared.computed.lock().unwrap().push(checked.work);
            landing.right = Some(checked.right);
        }));
        if submitted.is_err() {
            // It counts all the same: what is answered at once must not be tried without end.
            _ = self.throttle.charge(network, account, now).map(Charge::keep);
            return Step::Answered(Verdict::Busy);
        }
        // The lock is still held: the check cannot land before it is known to run.
        let begun = Running { network, against, outcome };
        running.insert(key, begun.clone());
        Step::Wait(begun)
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a check, also one that panics: its result is remembered, a wrong password is counted, and those who wait are told.
struct Landing<'a> {
    shared: &'a Shared,
    key: Key,
    network: Network,
    against: Option<Fingerprint>,
    right: Option<bool>,
    charge: Option<Charge>,
    sender: watch::Sender<Option<bool>>,
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        match self.charge.take() {
            Some(charge) if self.right == Some(false) => charge.keep(),
            charge => drop(charge),
        }
        let now = Instant::now();
        let mut state = self.shared.state();
        match (self.right, self.against) {
            (Some(true), Some(stored)) => {
                state.right.insert(self.key, Known { stored, networks: vec![self.network] }, now);
            }
            (Some(false), against) => state.wrong.insert(self.key, against, now),
            (Some(true), None) | (None, _) => (),
        }
        state.running.remove(&self.key);
        drop(state);
        self.sender.send_replace(self.right);
    }
}

#[cfg(test)]
mod tests;
