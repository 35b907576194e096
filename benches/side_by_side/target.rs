//! The proxy as its clients see it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::{self, kx_group};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::failure::Outcome;
use crate::scratch::{PASSWORD, USER};

/// The time limit of a single step: a handshake, the head of an answer, the next piece of a body.
pub const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
}

#[derive(Clone, Copy)]
pub enum Handshake {
    /// A full handshake, without a ticket.
    Full,
    /// Resume with the ticket of an earlier connection, if there is one.
    Resumed,
}

/// The key agreement that clients offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Groups {
    /// X25519 alone, so that all proxies do the same work.
    Classic,
    /// As Go and OpenSSL 3.5 do: X25519MLKEM768 first, with keys for both.
    Go,
}

/// The number of bytes to read from the kernel at once.
#[derive(Clone, Copy)]
pub enum Reads {
    Small = 4 * 1024,
    Bulk = 256 * 1024,
}

/// A TLS connection. rustls reads a few kilobytes at a time. The reader below it reads more from
/// the kernel, to leave more CPU to the proxy.
pub type Connection = TlsStream<BufReader<TcpStream>>;

#[derive(Clone)]
pub struct Target {
    pub address: SocketAddr,
    /// The value of `Authorization`, if the proxy requires one.
    pub authorization: Option<String>,
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
    resuming: Arc<ClientConfig>,
}

impl Target {
    pub fn new(
        address: SocketAddr,
        certificate: &CertificateDer<'static>,
        signs_in: bool,
        groups: Groups,
    ) -> Outcome<Target> {
        let full = |protocol: &[u8]| -> Outcome<ClientConfig> {
            let mut config = config(certificate, groups)?;
            config.alpn_protocols = vec![protocol.to_vec()];
            config.resumption = Resumption::disabled();
            Ok(config)
        };
        let mut resuming = config(certificate, groups)?;
        resuming.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Target {
            address,
            authorization: signs_in.then(|| basic(USER, PASSWORD)),
            http1: Arc::new(full(b"http/1.1")?),
            http2: Arc::new(full(b"h2")?),
            resuming: Arc::new(resuming),
        })
    }

    /// The name in `Host` and in the certificate.
    pub fn host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// The same target for a client that has no tickets yet.
    pub fn with_own_tickets(&self) -> Target {
        let mut resuming = ClientConfig::clone(&self.resuming);
        resuming.resumption = Resumption::default();
        Target { resuming: Arc::new(resuming), ..self.clone() }
    }

    /// The same target for a client that sends no password.
    pub fn anonymous(&self) -> Target {
        Target { authorization: None, ..self.clone() }
    }

    /// The same target for a client that sends a wrong password.
    pub fn stranger(&self, password: &str) -> Target {
        Target { authorization: Some(basic(USER, password)), ..self.clone() }
    }

    pub async fn connect(&self, protocol: Protocol, how: Handshake, reads: Reads) -> Outcome<Connection> {
        let config = match (protocol, how) {
            (Protocol::Http1, Handshake::Full) => &self.http1,
            (Protocol::Http2, _) => &self.http2,
            (Protocol::Http1, Handshake::Resumed) => &self.resuming,
        };
        let connector = TlsConnector::from(Arc::clone(config));
        let connecting = async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let stream = BufReader::with_capacity(reads as usize, stream);
            connector.connect(ServerName::try_from("localhost").map_err(std::io::Error::other)?, stream).await
        };
        let mut connection = timeout(PATIENCE, connecting).await.map_err(|_| "no handshake in time")??;
        connection.get_mut().1.set_buffer_limit(Some(2 * Reads::Bulk as usize));
        Ok(connection)
    }
}

pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// TLS 1.3 with one cipher, so that all proxies do the same work.
fn config(certificate: &CertificateDer<'static>, groups: Groups) -> Outcome<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone())?;
    Ok(ClientConfig::builder_with_provider(Arc::new(provider(groups)))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

/// One cipher and these groups.
pub fn provider(groups: Groups) -> CryptoProvider {
    let kx_groups = match groups {
        Groups::Classic => vec![kx_group::X25519],
        Groups::Go => vec![kx_group::X25519MLKEM768, kx_group::X25519],
    };
    CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups,
        ..aws_lc_rs::default_provider()
    }
}
