//! Tokens that have been verified, so that each is verified once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::time::Instant;

use crate::auth::hash::Fingerprint;
use crate::auth::person::Person;
use crate::cache::{Cache, Key};
use crate::secret::Secret;

/// How many tokens are remembered.
const CAPACITY: usize = 4096;
const LIFE: Duration = Duration::from_mins(5);

/// Remembers tokens by their SHA-256.
pub(super) struct Memory(Mutex<Cache<Remembered>>);

/// What a token has proven.
#[derive(Clone)]
pub(super) struct Remembered {
    /// The name of the issuer.
    pub(super) issuer: Arc<str>,
    pub(super) person: Person,
    /// `exp`
    pub(super) expires: u64,
    /// The set of keys that has verified it: it counts for as long as they do.
    pub(super) keys: Fingerprint,
}

impl Memory {
    pub(super) fn get(&self, token: &Secret) -> Option<Remembered> {
        self.cache().get(&key(token), Instant::now()).cloned()
    }

    pub(super) fn insert(&self, token: &Secret, remembered: Remembered) {
        self.cache().insert(key(token), remembered, Instant::now());
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, Cache<Remembered>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self(Mutex::new(Cache::new(CAPACITY, LIFE)))
    }
}

fn key(token: &Secret) -> Key {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, token.expose()).as_ref());
    Key(key)
}
