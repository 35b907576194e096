//! Which clients are asked for a certificate, and by whom it must be signed.

use std::sync::Arc;

use rustls::ServerConfig;

use super::client::Authorities;
use crate::header::authority::Host;

/// Clients are asked for certificates, for some host names or for all.
pub(crate) struct ClientAuth {
    /// Empty for all.
    pub(super) names: Vec<String>,
    pub(super) config: Arc<ServerConfig>,
    /// The authorities whose certificates are valid.
    pub authorities: Authorities,
}

impl ClientAuth {
    /// Whether clients that ask for `host` are asked for a certificate.
    pub(crate) fn covers(&self, host: Host<'_>) -> bool {
        let host = match host {
            Host::Name(name) => Host::Name(name.strip_suffix('.').unwrap_or(name)),
            Host::V6(_) => host,
        };
        self.names.is_empty() || self.names.iter().any(|name| host.is(name))
    }
}
