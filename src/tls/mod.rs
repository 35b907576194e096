//! The TLS of our listener: what a handshake uses, from the certificates to the tickets.

mod challenge;
mod client;
mod client_auth;
mod files;
#[cfg(test)]
pub(crate) mod fixtures;
mod resolver;
mod server;
mod tickets;

pub(crate) use self::challenge::{Challenges, Offer, PROTOCOL as ACME};
pub(crate) use self::client::{CertificateRejection, PresentedCertificate};
pub(crate) use self::files::TlsFiles;
pub(crate) use self::server::{Choice, ServerTls, server};
