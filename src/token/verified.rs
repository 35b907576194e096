//! Access tokens whose signature has been checked, so that it is checked once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest;
use tokio::time::Instant;

use crate::access::Identity;
use crate::cache::{Cache, Key};
use crate::registry::scope::Scope;
use crate::secret::Secret;

/// How many tokens are remembered.
const CAPACITY: usize = 4096;
/// Bytes of a token that is remembered: any client can get longer ones.
const LONGEST: usize = 4096;
/// How long a token is remembered. Its dates are compared at each use all the same.
const MEMORY: Duration = Duration::from_mins(5);

/// The content of an access token whose signature is right.
#[derive(Debug, PartialEq, Eq)]
pub struct Verified {
    /// Who it was issued to.
    pub identity: Identity,
    /// What the token allows.
    pub scopes: Vec<Scope>,
    pub(super) service: String,
    pub(super) begins: u64,
    pub(super) expires: u64,
}

/// Remembers tokens by their SHA-256.
pub(super) struct VerifiedTokens(Mutex<Cache<Arc<Verified>>>);

impl VerifiedTokens {
    /// The content of `token`: remembered, or the result of `read`.
    pub(super) fn get_or_read<E>(
        &self,
        token: &Secret,
        read: impl FnOnce() -> Result<Verified, E>,
    ) -> Result<Arc<Verified>, E> {
        let cache = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = fingerprint(token);
        if let Some(verified) = cache().get(&key, Instant::now()) {
            return Ok(verified.clone());
        }
        // The lock is not held meanwhile.
        let verified = Arc::new(read()?);
        if token.expose().len() <= LONGEST {
            cache().insert(key, verified.clone(), Instant::now());
        }
        Ok(verified)
    }
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        Self(Mutex::new(Cache::new(CAPACITY, MEMORY)))
    }
}

fn fingerprint(token: &Secret) -> Key {
    let mut key = [0; 32];
    key.copy_from_slice(digest::digest(&digest::SHA256, token.expose()).as_ref());
    Key(key)
}
