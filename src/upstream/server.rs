//! The registry's server.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::TrustAnchor;

use crate::config::{self, ServerAddress};
use crate::pki::{SystemRoots, client_trusting, roots};
use crate::problem::Problems;

/// Where the registry is, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// The address as configured.
    pub server: ServerAddress,
    /// For `https://`.
    pub tls: Option<Tls>,
    /// For name lookup, connect and TLS handshake together.
    pub connect_timeout: Duration,
    /// Longest silence: after the request, and between two parts of the answer.
    pub read_timeout: Duration,
}

/// How the registry is verified.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub config: Arc<ClientConfig>,
    pub roots: Vec<TrustAnchor<'static>>,
}

impl Destination {
    /// Reads `upstream.ca`. If the roots are those of `before`, its TLS configuration is kept, and
    /// with it the idle connections.
    ///
    /// # Errors
    /// Those of [`client_config`](crate::pki::client_config).
    pub(crate) fn build(
        settings: &config::Upstream,
        system: &SystemRoots,
        before: Option<&Destination>,
    ) -> Result<Self, Problems> {
        let tls = match &settings.server {
            ServerAddress::Tcp { tls: true, .. } => {
                let known = before.and_then(|before| before.tls.as_ref());
                Some(Tls::build(settings, system, known)?)
            }
            ServerAddress::Tcp { .. } | ServerAddress::Unix(_) => None,
        };
        Ok(Self {
            server: settings.server.clone(),
            tls,
            connect_timeout: settings.connect_timeout,
            read_timeout: settings.read_timeout,
        })
    }

    /// Whether a connection made for `other` may be used for this destination: the server is the
    /// same, and was verified in the same way.
    pub(super) fn shares_connections_with(&self, other: &Destination) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.config, &other.config),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_tls && self.server == other.server
    }
}

impl Tls {
    fn build(
        settings: &config::Upstream,
        system: &SystemRoots,
        before: Option<&Tls>,
    ) -> Result<Self, Problems> {
        let key = "upstream.ca";
        let store = roots(settings.ca.as_deref(), key, system)?;
        if let Some(same) = before.filter(|before| before.roots == store.roots) {
            return Ok(same.clone());
        }
        let roots = store.roots.clone();
        let config = Arc::new(client_trusting(store, key, &[b"http/1.1"])?);
        Ok(Self { config, roots })
    }
}
