//! Which clients are asked for a certificate, and by whom it must be signed.

use std::net::Ipv6Addr;
use std::sync::Arc;

use rustls::ServerConfig;

use super::client::Authorities;

/// Clients are asked for certificates, for some host names or for all.
pub(crate) struct ClientAuth {
    /// Empty for all.
    pub(super) names: Vec<String>,
    pub(super) config: Arc<ServerConfig>,
    /// The authorities whose certificates are valid.
    pub authorities: Authorities,
}

impl ClientAuth {
    /// Whether clients that ask for `host` are asked for a certificate. `host` is a name or an address, an
    /// IPv6 one in brackets, without port.
    pub(crate) fn covers(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let is = |name: &String| {
            name.eq_ignore_ascii_case(host) || address(name).is_some_and(|own| address(host) == Some(own))
        };
        self.names.is_empty() || self.names.iter().any(is)
    }
}

/// An IPv6 address in its brackets: one address can be written in many ways.
fn address(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
}
