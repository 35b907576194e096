//! The roots that servers must prove themselves to.

use std::path::Path;

use rustls::{ClientConfig, RootCertStore};

use super::facts::Facts;
use super::pair::unreadable;
use super::pem;
use crate::crypto::provider;
use crate::disk;
use crate::problem::{Problem, Problems};

/// A client's configuration: TLS 1.2 and 1.3, `alpn`, resumption in memory. The server must prove itself to
/// one of the certificates in the PEM file `ca`, or of the system's when there is none; `key` names the file
/// in the settings.
///
/// # Errors
/// The file is missing, is no PEM file, or holds a certificate that cannot be a root; or the system has none.
pub(crate) fn client_config(ca: Option<&Path>, key: &str, alpn: &[&[u8]]) -> Result<ClientConfig, Problems> {
    let roots = match ca {
        Some(path) => file(path)?,
        None => system(key)?,
    };
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Problems(vec![Problem::new(key, format!("TLS cannot be set up: {error}"))]))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

/// Whether one of the system's root certificates bears this name, given as DER.
pub(crate) fn system_has(name: &[u8]) -> bool {
    let roots = rustls_native_certs::load_native_certs().certs;
    roots.iter().filter_map(Facts::read).any(|root| root.subject == name)
}

fn file(path: &Path) -> Result<RootCertStore, Problems> {
    let content = disk::read(path, disk::SMALL).map_err(|error| Problems(vec![unreadable(path, &error)]))?;
    let certificates =
        pem::certificates(&content.bytes).map_err(|fault| Problems(vec![Problem::at(path, fault)]))?;
    let mut roots = RootCertStore::empty();
    let mut problems = Vec::new();
    for (index, certificate) in certificates.into_iter().enumerate() {
        if let Err(error) = roots.add(certificate) {
            problems.push(Problem::at(
                path,
                format_args!("certificate {} of the file cannot be used as a root: {error}", index + 1),
            ));
        }
    }
    if problems.is_empty() { Ok(roots) } else { Err(Problems(problems)) }
}

fn system(key: &str) -> Result<RootCertStore, Problems> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A system's store holds oddities that nobody can repair; what is usable counts.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable > 0 {
        return Ok(roots);
    }
    let cause = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
    let message = format!(
        "the system has no root certificates{cause}; install the package ca-certificates, or set {key}"
    );
    Err(Problems(vec![Problem::new(key, message)]))
}

#[cfg(test)]
mod tests;
