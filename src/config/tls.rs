//! `[tls]`: the certificates and the protocol versions offered to clients.

use std::path::PathBuf;

use super::client::ClientCertificates;
use super::complaint::Complaint;
use super::list::values;
use super::print::{Printer, list, quoted};
use super::report::Location;
use super::section::Section;
use super::words::{Words, choices, choose, word};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// At least one, but none with `[acme]`. The first is for clients whose SNI matches none.
    pub certificates: Vec<CertificateFiles>,
    /// The oldest version that is accepted.
    pub min_version: TlsVersion,
    /// Protocols offered, the preferred first; at least one, none twice.
    pub alpn: Vec<Alpn>,
    /// The secret that the keys of session tickets are derived from, in base64; `None` means random
    /// keys.
    pub ticket_keys: Option<PathBuf>,
    /// `[tls.client]`.
    pub client: ClientCertificates,
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// A version of TLS that registry clients still use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// A protocol that ALPN (RFC 7301) can select.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alpn {
    H2,
    Http11,
}

/// The section name of an entry of `tls.certificates`, which has keys but is not a section.
const CERTIFICATE_ENTRY: &str = "tls.certificates";

const VERSIONS: Words<TlsVersion> = &[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)];
const ALPN: Words<Alpn> = &[("h2", Alpn::H2), ("http/1.1", Alpn::Http11)];

impl Tls {
    /// `acme` is the location of `[acme]` if it is written. `by_acme` means that `[acme]` provides
    /// the certificate.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        by_acme: bool,
        acme: Option<Location>,
        client: Option<ClientCertificates>,
    ) -> Option<Self> {
        let certificates =
            if by_acme { none_beside_acme(section) } else { certificates(section, acme.as_ref()) };
        let min_version = section.word("min_version", r#""1.2""#, VERSIONS);
        let parse = |text: &str| choose(ALPN, text).ok_or(Complaint::Shape);
        let default = r#"["h2", "http/1.1"]"#;
        let alpn = values(section.several("alpn", default, &choices(ALPN), parse, |_| false));
        let wanted = r#"the path of a file, or "" for random keys, which replicas do not share"#;
        let remedy =
            "make it with `(umask 027; openssl rand -base64 48 > FILE)`, the same file for every replica";
        let ticket_keys = section.optional_file("ticket_keys", wanted, remedy);
        Some(Self {
            certificates: certificates?,
            min_version: min_version?,
            alpn: alpn?,
            ticket_keys: ticket_keys?,
            client: client?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { certificates, min_version, alpn, ticket_keys, client } = self;
        to.section("tls");
        match certificates.as_slice() {
            [] => {}
            [CertificateFiles { certificate, key }] => {
                to.reloaded("certificate", to.path(certificate));
                to.reloaded("key", to.path(key));
            }
            several => {
                let entries = several.iter().map(|CertificateFiles { certificate, key }| {
                    format!("{{ certificate = {}, key = {} }}", to.path(certificate), to.path(key))
                });
                to.reloaded("certificates", list(entries));
            }
        }
        for pair in certificates {
            to.watched.extend([pair.certificate.clone(), pair.key.clone(), pair.staple()]);
        }
        to.reloaded("min_version", quoted(word(VERSIONS, min_version)));
        to.reloaded("alpn", list(alpn.iter().map(|protocol| quoted(word(ALPN, protocol)))));
        to.watched("ticket_keys", ticket_keys.as_deref());
        client.print(to);
    }
}

impl CertificateFiles {
    /// The path of the certificate's OCSP response: beside it, as haproxy expects it too.
    pub fn staple(&self) -> PathBuf {
        let mut path = self.certificate.clone().into_os_string();
        path.push(".ocsp");
        path.into()
    }

    /// Reads `certificate` and `key`, of which at least one is written.
    fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        for (here, other) in [("certificate", "key"), ("key", "certificate")] {
            if !section.is_written(other) {
                let location = section.location(here);
                let example = if other == "key" { "certs/domain.key" } else { "certs/domain.crt" };
                let message = format!("{}.{other} is missing; write {other} = {example:?}", section.name);
                section.report.forgotten(&location, message);
            }
        }
        let certificate = pem_file(section, "certificate");
        let key = pem_file(section, "key");
        Some(Self { certificate: certificate?, key: key? })
    }
}

fn pem_file(section: &mut Section<'_, '_>, key: &str) -> Option<PathBuf> {
    let location = section.location(key);
    let path = section.path(key, None, "the path of a PEM file")?;
    let remedy = "make one with `tidegate cert server`, or name the one you have";
    section.needs_file(key, &path, &location, remedy);
    Some(path)
}

fn none_beside_acme(section: &mut Section<'_, '_>) -> Option<Vec<CertificateFiles>> {
    Section::know_all(CERTIFICATE_ENTRY, section.report, CertificateFiles::read);
    for key in ["certificate", "key", "certificates"] {
        if let Some(location) = section.drop(key) {
            let message =
                format!("tls.{key} names a certificate, and acme.names asks for one; keep one of them");
            section.report.wrong(&location, message);
        }
    }
    Some(Vec::new())
}

/// The pair of `certificate` and `key`, or the list of several.
fn certificates(section: &mut Section<'_, '_>, acme: Option<&Location>) -> Option<Vec<CertificateFiles>> {
    section.know("certificate");
    section.know("key");
    let list_location = section.location("certificates");
    let wanted = r#"a list such as [{ certificate = "a.crt", key = "a.key" }]"#;
    let list = section.entries("certificates", "[]", CERTIFICATE_ENTRY, wanted, CertificateFiles::read);
    let pair_written = section.is_written("certificate") || section.is_written("key");
    let none_listed = list.as_ref().is_some_and(Vec::is_empty);
    match (none_listed, pair_written) {
        (true, true) => CertificateFiles::read(section).map(|pair| vec![pair]),
        (true, false) => {
            let message = match acme {
                Some(_) => {
                    "acme.names is missing; write names = [\"registry.example.com\"] with the names that the \
                     certificate is for"
                }
                None => {
                    "tls.certificate and tls.key are missing; write certificate = \"certs/domain.crt\" \
                     and key = \"certs/domain.key\" (`tidegate cert server` makes them), or \
                     tls.certificates for several, or [acme] with the names for a certificate from Let's \
                     Encrypt"
                }
            };
            let location = acme.unwrap_or(&section.header).clone();
            section.report.forgotten(&location, message);
            None
        }
        (false, true) => {
            CertificateFiles::read(section);
            let message =
                "tls.certificates is set beside tls.certificate and tls.key; keep the list or the pair";
            section.report.wrong(&list_location, message);
            list
        }
        (false, false) => list,
    }
}
