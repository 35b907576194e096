//! TLS: certificates and keys from their files to the configuration that a handshake uses.

mod check;
mod identity;
#[cfg(test)]
pub(crate) mod material;
pub(crate) mod pair;
mod pem;
mod provider;
mod resolver;
mod roots;
mod seal;
mod staple;
mod tickets;
pub(crate) mod x509;

use std::sync::Arc;

use aws_lc_rs::digest;
use rustls::server::{ClientHello, NoServerSessionStorage, ProducesTickets};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use time::OffsetDateTime;

use self::identity::Identity;
pub use self::provider::provider;
use self::resolver::Resolver;
pub use self::roots::client;
pub use self::tickets::TicketKeys;
use crate::config::{self, Alpn, Problem, Problems, TlsVersion};

/// What the listener needs to speak TLS.
#[derive(Debug, Clone)]
pub struct ServerTls {
    /// For every handshake from now on.
    config: Arc<ServerConfig>,
    /// What the tickets of `config` are sealed with. For the next configuration, so that clients resume across it.
    pub tickets: Arc<TicketKeys>,
    /// What works today and deserves a line in the log.
    pub warnings: Vec<Problem>,
}

/// How a handshake goes on after the client's first message.
#[derive(Debug, Clone)]
pub struct Choice {
    /// What the session is made with.
    pub config: Arc<ServerConfig>,
    /// It asks the client for a certificate.
    pub asks: bool,
}

impl ServerTls {
    /// The choice for a client that says `hello`, or none where what it said cannot be read.
    pub fn choose(&self, _hello: Option<&ClientHello<'_>>) -> Choice {
        Choice { config: self.config.clone(), asks: false }
    }
}

/// Reads every certificate and key, checks them, and makes a configuration of them: the versions and ALPN
/// names of `tls`, our cipher order, no early data, two tickets per handshake, no session cache.
/// `names` are the host names that the certificates should bear; a name they lack is a warning.
///
/// Goes on with the keys `tickets` of the configuration before, unless the settings name a file with another
/// secret. Blocks on files, and up to 100 ms for a pair that is being replaced.
///
/// # Errors
/// Everything that is wrong with every file, each as a sentence whose place is the file's path.
pub fn server(tls: &config::Tls, names: &[String], tickets: &Arc<TicketKeys>) -> Result<ServerTls, Problems> {
    server_at(tls, names, tickets, OffsetDateTime::now_utc())
}

fn server_at(
    tls: &config::Tls,
    names: &[String],
    tickets: &Arc<TicketKeys>,
    now: OffsetDateTime,
) -> Result<ServerTls, Problems> {
    let secret = tls.ticket_keys.as_deref().map(tickets::read_secret).transpose();
    let ((identities, mut warnings), secret) = match (identity::load(&tls.certificates, now), secret) {
        (Ok(loaded), Ok(secret)) => (loaded, secret),
        (loaded, secret) => {
            let errors = loaded.err().into_iter().flat_map(|problems| problems.0).chain(secret.err());
            return Err(Problems(errors.collect()));
        }
    };
    if identities.is_empty() {
        return Err(Problems(vec![whole("names no certificate; set tls.certificate and tls.key")]));
    }
    warnings.extend(check::names(names, identities.iter().map(|identity| &identity.facts)));
    let tickets = tickets.made_of(secret);
    let config = configure(tls, identities, tickets.under(terms()))
        .map_err(|error| Problems(vec![whole(format!("cannot be set up: {error}"))]))?;
    Ok(ServerTls { config: Arc::new(config), tickets, warnings })
}

fn configure(
    tls: &config::Tls,
    identities: Vec<Identity>,
    tickets: Arc<dyn ProducesTickets>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[&SupportedProtocolVersion] = match tls.min_version {
        TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => &[&version::TLS13],
    };
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(Resolver::new(identities)));
    // Our order of ciphers, not the client's: OpenSSL asks for AES-256 first.
    config.ignore_client_order = true;
    config.alpn_protocols = tls.alpn.iter().map(|name| alpn(*name).to_vec()).collect();
    config.max_early_data_size = 0;
    config.ticketer = tickets;
    config.send_tls13_tickets = 2;
    // Tickets hold the sessions; a cache would be memory that any stranger can fill.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// What a session must have been made under to be resumed, in one value.
fn terms() -> [u8; 32] {
    let mut terms = [0; 32];
    terms.copy_from_slice(digest::digest(&digest::SHA256, b"no client certificate is asked for").as_ref());
    terms
}

/// The registered names of RFC 7301.
fn alpn(protocol: Alpn) -> &'static [u8] {
    match protocol {
        Alpn::H2 => b"h2",
        Alpn::Http11 => b"http/1.1",
    }
}

fn whole(message: impl Into<String>) -> Problem {
    Problem { place: "tls".to_owned(), message: message.into(), missing: false }
}

#[cfg(test)]
mod tests;
