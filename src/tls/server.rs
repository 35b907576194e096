//! The TLS configuration of the listener.

use std::sync::Arc;

use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::challenge::{Challenges, Place};
use super::client::Authorities;
use super::client_auth::ClientAuth;
use super::files::TlsFiles;
use super::resolver::Resolver;
use super::tickets::TicketKeys;
use crate::config::{Alpn, Tls, TlsVersion};
use crate::crypto::provider;
use crate::header::authority::Host;
use crate::pki::{self, Facts, ServedCertificate};
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// The TLS configurations of the listener, for clients with and without a certificate request.
pub(crate) struct ServerTls {
    /// The configuration of handshakes that ask for no client certificate.
    config: Arc<ServerConfig>,
    /// The configuration of the other handshakes. `None` if `tls.client.verify` is off.
    pub client: Option<ClientAuth>,
    /// The keys that seal the tickets of `config`.
    tickets: Arc<TicketKeys>,
    /// The answers to ACME directories.
    pub challenges: Arc<Challenges>,
    /// The certificates shown to clients, the default first.
    pub certificates: Vec<ServedCertificate>,
    /// Faults that do not keep the configuration from working, for the log.
    pub warnings: Vec<Problem>,
}

/// The outcome of a client's first message.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// The configuration of the session.
    pub config: Arc<ServerConfig>,
    /// Whether the session asks the client for a certificate.
    pub asks: bool,
    /// Where an ACME directory looks for an answer, if the client is one. It replaces `config`.
    pub place: Option<Place>,
}

impl ServerTls {
    /// The facts of the certificates shown to clients, the default first.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Facts> {
        self.certificates.iter().map(|certificate| &certificate.facts)
    }

    /// A secret that outlives the process. Replicas have the same one if they have the same
    /// `tls.ticket_keys`, or the same first certificate.
    pub(crate) fn lasting_secret(&self) -> Option<&Secret> {
        self.tickets.secret().or(self.certificates.first().map(|certificate| &certificate.secret))
    }

    /// The random keys of tickets and their periods, for a process that takes over.
    pub(crate) fn ticket_keys(&self) -> Vec<(u64, Secret)> {
        self.tickets.random_keys()
    }

    /// Opens the tickets of the process before, too.
    pub(crate) fn take_over_ticket_keys(&self, keys: impl Iterator<Item = (u64, Secret)>) {
        self.tickets.take_over(keys);
    }

    /// The secret of the tickets that all replicas should have; `None` if `tls.ticket_keys` has it.
    pub(crate) fn proposed_ticket_secret(&self) -> Option<Secret> {
        self.tickets.proposed()
    }

    /// Uses the secret that replicas have agreed upon for tickets.
    pub(crate) fn agree_on_tickets(&self, secret: Secret) {
        self.tickets.agree(secret);
    }

    /// Whether the choice can depend on a client's first message.
    pub(crate) fn depends_on_hello(&self) -> bool {
        self.client.is_some() || self.challenges.may_be_asked()
    }

    /// Chooses the configuration for a client's first message; `None` if it cannot be parsed.
    pub(crate) fn choose(&self, hello: Option<&ClientHello<'_>>) -> Choice {
        if let Some(place) = hello.and_then(Challenges::asked) {
            return Choice { config: self.config.clone(), asks: false, place: Some(place) };
        }
        // A client that sends no name may want any of them: IP addresses are never sent as names.
        let asked = |auth: &&ClientAuth| {
            hello.is_some_and(|hello| hello.server_name().is_none_or(|name| auth.covers(Host::Name(name))))
        };
        match self.client.as_ref().filter(asked) {
            Some(auth) => Choice { config: auth.config.clone(), asks: true, place: None },
            None => Choice { config: self.config.clone(), asks: false, place: None },
        }
    }
}

/// Makes the configuration of the files and of `certificates` to present. Versions and
/// ALPN names are those of `tls`. The server's cipher order decides; there is no early data and no
/// session cache, and each handshake gives one ticket. Warns of each of `names` that no
/// certificate covers.
///
/// Takes over from `before` the answers to ACME directories, and the keys of tickets unless the
/// secret in the file has changed.
///
/// # Errors
/// There is no certificate, or rustls refuses the configuration.
pub(crate) fn server(
    tls: &Tls,
    files: TlsFiles,
    certificates: Vec<ServedCertificate>,
    names: &[String],
    before: Option<&ServerTls>,
) -> Result<ServerTls, Problems> {
    if certificates.is_empty() {
        return Err(whole("names no certificate; set tls.certificate and tls.key").into());
    }
    let facts = || certificates.iter().map(|certificate| &certificate.facts);
    let mut warnings = pki::check_names("server.names", names, facts());
    if names.is_empty() {
        warnings.extend(pki::check_names("tls.client.names", &tls.client.names, facts()));
    }
    let resolver = Arc::new(Resolver::new(&certificates));
    let tickets =
        before.map_or_else(TicketKeys::random, |before| before.tickets.clone()).made_of(files.ticket_secret);
    let configure = |authorities: Option<&Authorities>| {
        configure(tls, &resolver, authorities, &tickets)
            .map(Arc::new)
            .map_err(|error| whole(format!("cannot be set up: {error}")))
    };
    let config = configure(None)?;
    let client = match files.client {
        None => None,
        Some((authorities, doubts)) => {
            warnings.extend(doubts);
            let names = tls.client.names.clone();
            Some(ClientAuth { names, config: configure(Some(&authorities))?, authorities })
        }
    };
    let challenges = before.map(|before| before.challenges.clone()).unwrap_or_default();
    Ok(ServerTls { config, client, tickets, challenges, certificates, warnings })
}

fn configure(
    tls: &Tls,
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
    // The client's order would cost time: OpenSSL asks for AES-256 first.
    config.ignore_client_order = true;
    config.alpn_protocols = tls.alpn.iter().map(|name| alpn(*name).to_vec()).collect();
    config.max_early_data_size = 0;
    // The keys go to the record layer of `crypto/records.rs`.
    config.enable_secret_extraction = true;
    match authorities {
        None => {
            config.ticketer = tickets.clone();
            // One is enough: each connection that uses it gets another.
            config.send_tls13_tickets = 1;
        }
        // A resumed session would always present the certificate of its first handshake.
        Some(_) => config.send_tls13_tickets = 0,
    }
    // Tickets hold the sessions. A cache would be memory that any client can fill.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

/// The registered ALPN name (RFC 7301).
fn alpn(protocol: Alpn) -> &'static [u8] {
    match protocol {
        Alpn::H2 => b"h2",
        Alpn::Http11 => b"http/1.1",
    }
}

fn whole(message: impl Into<String>) -> Problem {
    Problem::new("tls", message)
}

#[cfg(test)]
mod tests;
