//! The tokens of `auth.mode = "token"`: who may do what for a while, signed.
//!
//! An access token says who it is for and what it allows, and is good for minutes; registries that verify tokens themselves
//! know its form. An identity token proves a login and gets access tokens, instead of the password, for months.

mod claims;
mod issue;
mod key;
mod login;
pub(crate) mod revoked;
mod verify;

use std::borrow::Cow;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

pub(crate) use self::issue::NotIssued;
use self::key::Key;
pub(crate) use self::verify::{Invalid, Verified};
use crate::cache::Cache;
use crate::config;
use crate::header::authority::{Authority, HostPort};
use crate::header::credentials::MAX_BEARER;
use crate::live_file::LiveFile;
use crate::problem::{Problem, Problems};
use revoked::Revoked;

/// How many verified tokens are remembered, up to what length, and for how long: anybody can have long ones. What is in a token is
/// compared at each use all the same.
const REMEMBERED: usize = 4096;
const LONGEST_REMEMBERED: usize = 4096;
const MEMORY: Duration = Duration::from_mins(5);

/// Gives tokens and takes them, under one key and in one name. What it has verified it remembers, and is replaced with.
pub struct Tokens {
    key: Arc<Key>,
    /// What ended identity tokens; `None` where there are none, because the key does not outlive the process.
    revoked: Option<Arc<LiveFile<Revoked>>>,
    settings: config::Token,
    verified: Mutex<Cache<Arc<Verified>>>,
}

impl Tokens {
    /// Reads the key. One that is in no file is taken over from `before`, so that the tokens given stay good.
    ///
    /// # Errors
    /// All that is wrong with key, certificate and the file of what was revoked.
    pub fn build(settings: &config::Token, before: Option<&Tokens>) -> Result<Tokens, Problems> {
        let key = match (Key::read(settings)?, before) {
            (Some(key), _) => Arc::new(key),
            (None, Some(before)) if before.settings.key.is_none() => before.key.clone(),
            (None, _) => Arc::new(Key::fresh().ok_or_else(no_key)?),
        };
        let revoked = match (&settings.key, before.and_then(|before| before.revoked.clone())) {
            (None, _) => None,
            (Some(path), Some(revoked)) if revoked.path() == revoked::beside(path) => Some(revoked),
            (Some(path), _) => Some(Arc::new(revoked::open(path)?)),
        };
        Ok(Tokens {
            key,
            revoked,
            settings: settings.clone(),
            verified: Mutex::new(Cache::new(REMEMBERED, MEMORY)),
        })
    }

    /// The service that tokens given or taken under `authority` are for: the configured one, else the
    /// host and port that the client asked for, without the port of https.
    pub(crate) fn service<'a>(&'a self, authority: &'a Authority) -> Cow<'a, str> {
        match &self.settings.service {
            Some(service) => service.as_str().into(),
            None => {
                let HostPort { host, port } = authority.host_port();
                let mut service = HostPort { host, port: port.filter(|port| *port != 443) }.to_string();
                service.make_ascii_lowercase();
                service.into()
            }
        }
    }

    /// What works today and deserves a line in the log.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.key.warnings.clone();
        if let (Some(certificate), None) = (&self.settings.certificate, &self.settings.service) {
            let message = format!(
                "without it, tokens are for whatever host a client asks for, also for another registry that trusts {}; write \
                 the service that the registry has in its auth.token",
                certificate.display()
            );
            warnings.push(Problem::new("token.service", message));
        }
        warnings
    }
}

fn no_key() -> Problem {
    Problem::new("token.key", "the system gives no random numbers to make a key of")
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
