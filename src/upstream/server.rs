//! The registry's server.

use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::config::ServerAddress;

/// Where the registry is, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// The address as configured.
    pub server: ServerAddress,
    /// For `https://`.
    pub tls: Option<Arc<ClientConfig>>,
    /// For name lookup, connect and TLS handshake together.
    pub connect_timeout: Duration,
    /// Longest silence: after the request, and between two parts of the answer.
    pub read_timeout: Duration,
}
