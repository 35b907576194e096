//! Session tickets (RFC 5077; RFC 8446, section 4.6.1), with which clients resume their sessions.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hmac, rand};
use rustls::server::ProducesTickets;

use crate::secret::Secret;

/// The keys that seal tickets, one for each period of six hours of the wall clock. Tickets of the
/// current and of the previous period can be opened.
///
/// With a secret, the key of each period is derived from it, so that replicas with the same secret
/// have the same keys. Tickets of the next period can then be opened as well, since clocks differ.
/// Without a secret, each key is random and known to this process alone. It is forgotten at the
/// first handshake after its tickets have expired.
#[derive(Debug)]
pub(crate) struct TicketKeys {
    secret: Option<Secret>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The secret that replicas have agreed upon, if the settings have none.
    agreed: Option<Secret>,
    /// The keys of at most three periods: the previous, the current and the next.
    keys: Vec<PeriodKey>,
}

/// The key of one period.
#[derive(Debug)]
struct PeriodKey {
    period: u64,
    bytes: Secret,
    key: Arc<RandomizedNonceKey>,
}

const PERIOD_SECONDS: u32 = 6 * 60 * 60;

/// The length of the period's number, with which a ticket begins.
const PERIOD_LEN: usize = size_of::<u64>();

/// Longer tickets from clients are rejected unread; our own are far shorter.
const LONGEST: usize = 16 << 10;

impl TicketKeys {
    /// Random keys, known to this process alone.
    pub(crate) fn random() -> Arc<Self> {
        Arc::new(Self::new(None))
    }

    fn new(secret: Option<Secret>) -> Self {
        Self { secret, known: Mutex::default() }
    }

    /// These keys if they were made of `secret`, else new ones made of it.
    pub(crate) fn made_of(self: &Arc<Self>, secret: Option<Secret>) -> Arc<Self> {
        if self.secret == secret { self.clone() } else { Arc::new(Self::new(secret)) }
    }

    /// The secret that the keys are made of; `None` if they are random.
    pub(super) fn secret(&self) -> Option<&Secret> {
        self.secret.as_ref()
    }

    /// The secret that replicas have agreed upon, or one to propose to them. `None` if the settings
    /// have one.
    pub(super) fn proposed(&self) -> Option<Secret> {
        if self.secret.is_some() {
            return None;
        }
        self.known().agreed.clone().or_else(random)
    }

    /// Makes the keys from now on of the secret that replicas have agreed upon, unless the settings
    /// have one. Sessions so far are not resumed.
    pub(super) fn agree(&self, secret: Secret) {
        let mut known = self.known();
        if self.secret.is_none() && known.agreed.as_ref() != Some(&secret) {
            *known = Known { agreed: Some(secret), keys: Vec::new() };
        }
    }

    /// Returns period, nonce, ciphertext and tag. `None` if the ticket would be too long, or if the
    /// system has no random numbers.
    fn seal(&self, now: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        // A random nonce is safe for 2^32 tickets of one key (NIST SP 800-38D, section 8.3), which
        // is 200,000 a second.
        let nonce = self.key(now, now)?.seal_in_place_append_tag(Aad::empty(), &mut sealed).ok()?;
        let ticket = [&now.to_be_bytes()[..], nonce.as_ref(), &sealed].concat();
        (ticket.len() <= LONGEST).then_some(ticket)
    }

    fn open(&self, now: u64, ticket: &[u8]) -> Option<Vec<u8>> {
        if ticket.len() > LONGEST {
            return None;
        }
        let (period, rest) = ticket.split_first_chunk::<PERIOD_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let key = self.key(now, u64::from_be_bytes(*period))?;
        let mut sealed = sealed.to_vec();
        let plain =
            key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::empty(), &mut sealed).ok()?;
        Some(plain.to_vec())
    }

    /// The key of `period` if it is valid in the period `now`. Forgets the keys that are not.
    fn key(&self, now: u64, period: u64) -> Option<Arc<RandomizedNonceKey>> {
        let mut known = self.known();
        let Known { agreed, keys } = &mut *known;
        let secret = self.secret.as_ref().or(agreed.as_ref());
        let last = if secret.is_some() { now.saturating_add(1) } else { now };
        let valid = now.saturating_sub(1)..=last;
        keys.retain(|known| valid.contains(&known.period));
        if let Some(known) = keys.iter().find(|known| known.period == period) {
            return Some(known.key.clone());
        }
        let bytes = match secret {
            _ if !valid.contains(&period) => return None,
            Some(secret) => derived(secret, period),
            None if period == now => random()?,
            None => return None,
        };
        let new = PeriodKey::new(period, bytes)?;
        let key = new.key.clone();
        keys.push(new);
        Some(key)
    }

    /// The random keys and their periods, for a process that takes over.
    pub(super) fn random_keys(&self) -> Vec<(u64, Secret)> {
        let known = self.known();
        let random = known.keys.iter().filter(|_| self.secret.is_none());
        random.map(|known| (known.period, known.bytes.clone())).collect()
    }

    /// Takes the random keys of the process before, unless the keys are made of a secret.
    pub(super) fn take_over(&self, keys: impl Iterator<Item = (u64, Secret)>) {
        if self.secret.is_none() {
            self.known().keys.extend(keys.filter_map(|(period, bytes)| PeriodKey::new(period, bytes)));
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn derived(secret: &Secret, period: u64) -> Secret {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, secret.expose()));
    context.update(b"tidegate session tickets, AES-256-GCM, period ");
    context.update(&period.to_be_bytes());
    Secret::new(context.sign().as_ref())
}

fn random() -> Option<Secret> {
    let mut bytes = [0; 32];
    rand::fill(&mut bytes).ok()?;
    Some(Secret::new(bytes))
}

impl PeriodKey {
    fn new(period: u64, bytes: Secret) -> Option<Self> {
        let key = Arc::new(RandomizedNonceKey::new(&AES_256_GCM, bytes.expose()).ok()?);
        Some(Self { period, bytes, key })
    }
}

fn this_period() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs() / u64::from(PERIOD_SECONDS)
}

impl ProducesTickets for TicketKeys {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD_SECONDS
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(this_period(), plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(this_period(), ticket)
    }
}

#[cfg(test)]
mod tests;
