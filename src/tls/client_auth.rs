//! Which clients are asked for a certificate, and which CAs may have signed it.

use std::sync::Arc;

use rustls::ServerConfig;

use super::client::Authorities;
use crate::header::authority::Host;

/// The request for client certificates, for some host names or for all.
pub(crate) struct ClientAuth {
    /// The host names whose clients are asked. Empty means all.
    pub(super) names: Vec<String>,
    pub(super) config: Arc<ServerConfig>,
    /// The authorities whose certificates are valid.
    pub authorities: Authorities,
}

impl ClientAuth {
    /// Whether clients that ask for `host` are asked for a certificate.
    pub(crate) fn covers(&self, host: Host<'_>) -> bool {
        self.names.is_empty() || self.names.iter().any(|name| host.is(name))
    }
}
