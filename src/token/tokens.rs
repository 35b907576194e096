//! The key, the settings and the memory that all tokens are issued and verified with.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};

use super::key::Key;
use super::revoked::{self, Revoked};
use super::shared_revoked::OwnList;
use super::verified::VerifiedTokens;
use crate::config;
use crate::header::authority::{Authority, HostPort};
use crate::live_file::LiveFile;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// Issues and verifies tokens with one key, as one issuer. A reload makes a new value, and with it
/// an empty memory of verified tokens.
pub struct Tokens {
    pub(super) key: ArcSwap<Key>,
    /// The key before it, whose tokens are still valid.
    pub(super) former: ArcSwapOption<Former>,
    /// The revoked logins. `None` if the key is in no file: it ends with the process, so there are
    /// no identity tokens.
    pub(super) revoked: Option<Arc<LiveFile<Revoked>>>,
    /// The key file says that it has a list, or it could not be made to.
    recorded: AtomicBool,
    pub(super) settings: config::Token,
    pub(super) verified: VerifiedTokens,
}

/// A key with which nothing is signed any more.
pub(super) struct Former {
    pub(super) key: Arc<Key>,
    pub(super) until: Instant,
}

impl Tokens {
    /// Reads the key. Without a key file, the key of `before` is kept, so that its tokens stay
    /// valid.
    ///
    /// # Errors
    /// Everything that is wrong with the key, its certificate and the list of revoked logins.
    pub fn build(settings: &config::Token, before: Option<&Tokens>) -> Result<Tokens, Problems> {
        let (key, former) = match (Key::read(settings)?, before) {
            (Some(key), _) => (Arc::new(key), None),
            (None, Some(before)) if before.settings.key.is_none() => {
                (before.key.load_full(), before.former.load_full())
            }
            (None, _) => (Arc::new(Key::fresh().ok_or_else(no_key)?), None),
        };
        let revoked = match (&settings.key, before.and_then(|before| before.revoked.clone())) {
            (None, _) => None,
            (Some(path), Some(revoked)) if revoked.path() == revoked::beside(path) => Some(revoked),
            (Some(path), _) => Some(Arc::new(revoked::open(path)?)),
        };
        let mut recorded = false;
        if let (Some(path), Some(list)) = (&settings.key, &revoked) {
            recorded = revoked::RECORD.is_in(path).map_err(|error| Problem::at(path, error))?;
            if recorded && list.is_absent() {
                return Err(revoked::lost(path).into());
            }
        }
        let recorded = AtomicBool::new(recorded);
        let (key, former) = (ArcSwap::new(key), ArcSwapOption::new(former));
        Ok(Tokens {
            key,
            former,
            revoked,
            recorded,
            settings: settings.clone(),
            verified: VerifiedTokens::default(),
        })
    }

    /// The key that is in no file, for another process.
    pub(crate) fn fresh_key(&self) -> Option<Secret> {
        self.key.load().fresh.clone()
    }

    /// Goes on with the key of another process, unless a file has the key. The tokens so far stay
    /// valid.
    pub(crate) fn take_over_key(&self, key: &Secret) {
        let own = self.key.load_full();
        if self.settings.key.is_some() || own.fresh.as_ref() == Some(key) {
            return;
        }
        if let Some(key) = Key::of_memory(key) {
            let until = Instant::now() + self.settings.ttl;
            self.former.store(Some(Arc::new(Former { key: own, until })));
            self.key.store(Arc::new(key));
        }
    }

    /// The list of revoked logins of this replica, and the life of identity tokens; `None` if it
    /// issues none.
    pub(crate) fn own_list(&self) -> Option<OwnList> {
        let list = self.revoked.clone().filter(|_| self.has_identities())?;
        Some((list, self.settings.refresh_ttl))
    }

    /// Makes the key file say that it has a list of revoked logins, once there is one. To be called
    /// at intervals, from a thread that may wait for a disk.
    pub(crate) fn record_list(&self) {
        let (Some(key), Some(list)) = (&self.settings.key, &self.revoked) else { return };
        if self.recorded.load(Ordering::Relaxed) || list.is_absent() {
            return;
        }
        self.recorded.store(true, Ordering::Relaxed);
        match revoked::RECORD.append_to(key) {
            Ok(true) => {
                tracing::info!(key = %key.display(), "recorded that the key has a list of revoked logins")
            }
            Ok(false) => {}
            Err(error) => tracing::warn!(
                key = %key.display(), %error,
                "cannot record that the key has a list of revoked logins, so a start without the list would go \
                 unnoticed; append this line to the key: {}", revoked::RECORD.line
            ),
        }
    }

    /// The service that tokens issued or verified under `authority` are for: the configured one,
    /// else the host and port that the client asked for, without the port of https.
    pub(crate) fn service<'a>(&'a self, authority: &'a Authority) -> Cow<'a, str> {
        match &self.settings.service {
            Some(service) => service.as_str().into(),
            None => {
                let HostPort { host, port } = authority.host_port();
                let shown = HostPort { host: host.without_dot(), port: port.filter(|port| *port != 443) };
                // One allocation, as this runs for every request.
                let mut service = String::with_capacity(authority.as_str().len());
                _ = write!(service, "{shown}");
                service.make_ascii_lowercase();
                service.into()
            }
        }
    }

    /// Whether identity tokens are issued.
    pub(super) fn has_identities(&self) -> bool {
        self.revoked.is_some() && !self.settings.refresh_ttl.is_zero()
    }

    /// Settings that work but need the operator's attention.
    pub fn warnings(&self) -> Vec<Problem> {
        let mut warnings = self.key.load().warnings.clone();
        if let (Some(certificate), None) = (&self.settings.certificate, &self.settings.service) {
            let message = format!(
                "is not set, so a token is valid for whatever host the client asked for, even another \
                 registry that trusts {}; write the service from the registry's auth.token",
                certificate.display()
            );
            warnings.push(Problem::new("token.service", message));
        }
        warnings
    }
}

fn no_key() -> Problem {
    Problem::new("token.key", "the system gives no random numbers for a key; try again, or name a key file")
}
