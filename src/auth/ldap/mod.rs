//! Logins at a directory: search, then bind.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::hash::Fingerprint;
use super::judgement::{Attempt, Judgement};
use super::person::Person;
use crate::config;
use crate::pki::SystemRoots;
use crate::problem::Problems;
use crate::user::User;

/// A directory. It outlives a reload that does not change its settings.
pub(crate) struct Ldap {
    digest: Fingerprint,
}

/// The directory cannot be asked now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

impl Ldap {
    /// `wanted` are the groups that rules name, such as `ldap:dev`. At most `queue` logins wait, and
    /// [`Self::person`] remembers for `memory`. Connections, and what has been
    /// counted, are taken over from `before` where the settings are the same. Connects to nothing.
    ///
    /// # Errors
    /// A file that the settings name cannot be used.
    pub(crate) fn build(
        _settings: &config::Ldap,
        _queue: usize,
        _memory: Duration,
        _wanted: &BTreeSet<String>,
        _system: &SystemRoots,
        _before: Option<&Arc<Ldap>>,
    ) -> Result<Arc<Ldap>, Problems> {
        Ok(Arc::new(Self { digest: [0; 32] }))
    }

    /// Changes with the settings and with the wanted groups: what was verified before such a change
    /// has to be verified again.
    pub(crate) fn digest(&self) -> &Fingerprint {
        &self.digest
    }

    /// Judges a login. Takes `auth.ldap.timeout` at most. Runs in a task of its own, which goes on
    /// when the client has left.
    pub(crate) async fn judge(&self, _attempt: Attempt) -> Judgement {
        Judgement::Unavailable
    }

    /// The user of this name as the directory has them now, by one search that is remembered for
    /// `auth.cache_ttl`; for identity tokens. `None` if there is no such user.
    pub(crate) async fn person(&self, _user: &User) -> Result<Option<Person>, Unavailable> {
        Err(Unavailable)
    }
}
