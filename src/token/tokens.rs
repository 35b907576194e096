//! The key, the settings and the memory that all tokens are issued and verified with.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;

use super::key::Key;
use super::revoked::{self, Revoked};
use super::verified::VerifiedTokens;
use crate::config;
use crate::header::authority::{Authority, HostPort};
use crate::live_file::LiveFile;
use crate::problem::{Problem, Problems};

/// Gives tokens and takes them, under one key and in one name. What it has verified it remembers, and is replaced with.
pub struct Tokens {
    pub(super) key: Arc<Key>,
    /// What ended identity tokens; `None` where there are none, because the key does not outlive the process.
    pub(super) revoked: Option<Arc<LiveFile<Revoked>>>,
    pub(super) settings: config::Token,
    pub(super) verified: VerifiedTokens,
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
        Ok(Tokens { key, revoked, settings: settings.clone(), verified: VerifiedTokens::default() })
    }

    /// The service that tokens given or taken under `authority` are for: the configured one, else the
    /// host and port that the client asked for, without the port of https.
    pub(crate) fn service<'a>(&'a self, authority: &'a Authority) -> Cow<'a, str> {
        match &self.settings.service {
            Some(service) => service.as_str().into(),
            None => {
                let HostPort { host, port } = authority.host_port();
                let shown = HostPort { host, port: port.filter(|port| *port != 443) };
                // One allocation, as this runs for every request.
                let mut service = String::with_capacity(authority.as_str().len());
                _ = write!(service, "{shown}");
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
