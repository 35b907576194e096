//! TLS: certificates and keys from their files to the configuration that a handshake uses.

mod acme;
mod check;
mod client;
#[cfg(test)]
pub(crate) mod fixtures;
mod identity;
pub(crate) mod pair;
pub(crate) mod pem;
mod provider;
mod resolver;
mod roots;
mod seal;
mod staple;
mod tickets;
pub(crate) mod x509;

use std::net::Ipv6Addr;
use std::sync::Arc;

use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::{ServerConfig, SupportedProtocolVersion, version};
use time::OffsetDateTime;

pub(crate) use self::acme::{Challenges, PROTOCOL as ACME, keep};
use self::check::RenewedBy;
pub(crate) use self::check::date;
pub(crate) use self::client::{Authorities, PresentedCertificate};
use self::identity::Identity;
pub use self::provider::provider;
use self::resolver::Resolver;
pub(crate) use self::roots::upstream;
pub(crate) use self::tickets::TicketKeys;
use self::x509::Facts;
use crate::config::{self, Acme, Alpn, TlsVersion, Verify};
use crate::problem::{Problem, Problems};

/// What the listener needs to speak TLS.
pub(crate) struct ServerTls {
    /// For every handshake from now on that asks for no client certificate.
    config: Arc<ServerConfig>,
    /// The others, and what counts in them; none where `tls.client.verify` is off.
    pub client: Option<ClientAuth>,
    /// What the tickets of `config` are sealed with.
    tickets: Arc<TicketKeys>,
    /// What an ACME directory is answered with.
    pub challenges: Arc<Challenges>,
    /// What is shown to clients, the default first.
    identities: Vec<Identity>,
    /// What works today and deserves a line in the log.
    pub warnings: Vec<Problem>,
}

/// Certificates are asked of clients, for some host names or for all.
pub(crate) struct ClientAuth {
    /// Empty for all.
    names: Vec<String>,
    config: Arc<ServerConfig>,
    /// Whose certificates count.
    pub authorities: Authorities,
}

impl ClientAuth {
    /// Whether a certificate is asked of those who want `host`: a name or an address, an IPv6 one in brackets, without port.
    pub(crate) fn covers(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        let is = |name: &String| {
            name.eq_ignore_ascii_case(host) || address(name).is_some_and(|own| address(host) == Some(own))
        };
        self.names.is_empty() || self.names.iter().any(is)
    }
}

/// How a handshake goes on after the client's first message.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// What the session is made with.
    pub config: Arc<ServerConfig>,
    /// It asks the client for a certificate.
    pub asks: bool,
}

impl ServerTls {
    /// What is shown to clients, the default first.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Facts> {
        self.identities.iter().map(|identity| &identity.facts)
    }

    /// The choice for a client that says `hello`, or none where what it said cannot be read.
    pub(crate) fn choose(&self, hello: Option<&ClientHello<'_>>) -> Choice {
        if let Some(config) = hello.and_then(|hello| self.challenges.handshake(hello)) {
            return Choice { config, asks: false };
        }
        // Who gives no name may want any: there is none for an IP address.
        let asked = |demand: &&ClientAuth| {
            hello.is_some_and(|hello| hello.server_name().is_none_or(|name| demand.covers(name)))
        };
        match self.client.as_ref().filter(asked) {
            Some(demand) => Choice { config: demand.config.clone(), asks: true },
            None => Choice { config: self.config.clone(), asks: false },
        }
    }
}

/// Reads every certificate and key, checks them, and makes a configuration of them: the versions and ALPN
/// names of `tls`, our cipher order, no early data, two tickets per handshake, no session cache.
/// `names` are the host names that the certificates should bear; a name they lack is a warning.
///
/// Where there is `acme`, its certificate takes the place of those of `tls`.
///
/// From the configuration `before` come the answers to ACME directories, the keys of tickets, unless the settings name a file with
/// another secret, and the certificates, where that of `acme` is not there yet or not any more. Blocks on files, and
/// up to 100 ms for a pair that is being replaced.
///
/// # Errors
/// Everything that is wrong with every file, each as a sentence whose place is the file's path.
pub(crate) fn server(
    tls: &config::Tls,
    acme: Option<&Acme>,
    names: &[String],
    before: Option<&ServerTls>,
) -> Result<ServerTls, Problems> {
    let now = OffsetDateTime::now_utc();
    let mut problems = Vec::new();
    let secret = tls.ticket_keys.as_deref().map(tickets::read_secret).transpose();
    let secret = secret.map_err(|problem| problems.push(problem)).ok();
    let demand = (tls.client.verify != Verify::Off).then(|| Authorities::open(&tls.client, now)).transpose();
    let demand = demand.map_err(|found| problems.extend(found.0)).ok();
    let loaded = match acme {
        Some(acme) => {
            let served = before.map(|before| before.identities.as_slice()).unwrap_or_default();
            acme::certificate::serve(acme, served, now)
        }
        None => identity::load(&tls.certificates, RenewedBy::Operator, now),
    };
    let loaded = loaded.map_err(|found| problems.extend(found.0)).ok();
    let (Some(loaded), Some(secret), Some(demand)) = (loaded, secret, demand) else {
        return Err(Problems(problems));
    };
    let (identities, mut warnings) = loaded;
    if identities.is_empty() {
        return Err(Problems(vec![whole("names no certificate; set tls.certificate and tls.key")]));
    }
    warnings.extend(check::names(names, identities.iter().map(|identity| &identity.facts)));
    let resolver = Arc::new(Resolver::new(identities.clone()));
    let tickets = before.map_or_else(TicketKeys::random, |before| before.tickets.clone()).made_of(secret);
    let configure = |authorities: Option<&Authorities>| {
        configure(tls, &resolver, authorities, &tickets)
            .map(Arc::new)
            .map_err(|error| Problems(vec![whole(format!("cannot be set up: {error}"))]))
    };
    let config = configure(None)?;
    let client = match demand {
        None => None,
        Some((authorities, doubts)) => {
            warnings.extend(doubts);
            let names = tls.client.names.clone();
            Some(ClientAuth { names, config: configure(Some(&authorities))?, authorities })
        }
    };
    let challenges = before.map(|before| before.challenges.clone()).unwrap_or_default();
    Ok(ServerTls { config, client, tickets, challenges, identities, warnings })
}

fn configure(
    tls: &config::Tls,
    resolver: &Arc<Resolver>,
    authorities: Option<&Authorities>,
    tickets: &Arc<TicketKeys>,
) -> Result<ServerConfig, rustls::Error> {
    let versions: &[&SupportedProtocolVersion] = match tls.min_version {
        TlsVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        TlsVersion::Tls13 => &[&version::TLS13],
    };
    let builder = ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions)?;
    let builder = match authorities {
        Some(authorities) => builder.with_client_cert_verifier(authorities.verifier()),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(resolver.clone());
    // Our order of ciphers, not the client's: OpenSSL asks for AES-256 first.
    config.ignore_client_order = true;
    config.alpn_protocols = tls.alpn.iter().map(|name| alpn(*name).to_vec()).collect();
    config.max_early_data_size = 0;
    match authorities {
        None => {
            config.ticketer = tickets.clone();
            config.send_tls13_tickets = 2;
        }
        // A resumed session would bring back the certificate that was shown when it began, and never another one.
        Some(_) => config.send_tls13_tickets = 0,
    }
    // Tickets hold the sessions; a cache would be memory that any stranger can fill.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// What stands in the brackets of an IPv6 address, which can be written in many ways.
fn address(host: &str) -> Option<Ipv6Addr> {
    host.strip_prefix('[')?.strip_suffix(']')?.parse().ok()
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
