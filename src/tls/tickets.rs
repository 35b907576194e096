//! Session tickets (RFC 5077; RFC 8446, section 4.6.1): what a client shows to resume its session.

mod secret;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hmac, rand};
use rustls::server::ProducesTickets;

pub(super) use self::secret::read as read_secret;
use crate::secret::Secret;

/// The keys that seal tickets: one for each period of six hours of the wall clock. Tickets of the period before
/// open too, older ones never.
///
/// With a secret, the key of a period is derived from it, so that all who have the same secret have the same keys;
/// tickets of the next period open as well, since clocks differ. Without one it is random, known to this
/// process alone, and forgotten at the first handshake at which it is of no use any more.
#[derive(Debug)]
pub(crate) struct TicketKeys {
    secret: Option<Secret>,
    /// Of three periods at most: the one before, this one, the next.
    known: Mutex<Vec<(u64, Arc<RandomizedNonceKey>)>>,
}

const PERIOD_SECONDS: u32 = 6 * 60 * 60;

/// What a ticket begins with: its period.
const PERIOD_LEN: usize = size_of::<u64>();

/// What a client sends is not looked at beyond this; our own tickets are far shorter.
const LONGEST: usize = 16 << 10;

impl TicketKeys {
    /// Keys that nobody else has.
    pub(crate) fn random() -> Arc<Self> {
        Arc::new(Self::new(None))
    }

    fn new(secret: Option<Secret>) -> Self {
        Self { secret, known: Mutex::default() }
    }

    /// These keys, when they are made of `secret`; else new ones that are.
    pub(crate) fn made_of(self: &Arc<Self>, secret: Option<Secret>) -> Arc<Self> {
        if self.secret == secret { self.clone() } else { Arc::new(Self::new(secret)) }
    }

    /// Period, nonce, ciphertext, tag. None for what is too long, or without random numbers.
    fn seal(&self, now: u64, plain: &[u8]) -> Option<Vec<u8>> {
        let mut sealed = plain.to_vec();
        // A random nonce is safe for 2^32 tickets of one key (NIST SP 800-38D, section 8.3), 200,000 a second.
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

    /// The key of `period`, if that is of use in the period `now`. Forgets those that are not.
    fn key(&self, now: u64, period: u64) -> Option<Arc<RandomizedNonceKey>> {
        let last = if self.secret.is_some() { now.saturating_add(1) } else { now };
        let of_use = now.saturating_sub(1)..=last;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|(period, _)| of_use.contains(period));
        if let Some((_, key)) = known.iter().find(|(known, _)| *known == period) {
            return Some(key.clone());
        }
        let bytes = match &self.secret {
            _ if !of_use.contains(&period) => return None,
            Some(secret) => derived(secret, period),
            None if period == now => random()?,
            None => return None,
        };
        let key = Arc::new(RandomizedNonceKey::new(&AES_256_GCM, bytes.expose()).ok()?);
        known.push((period, key.clone()));
        Some(key)
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
