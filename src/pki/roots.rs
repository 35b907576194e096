//! The root certificates against which tidegate verifies servers as their client.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_native_certs::load_native_certs;

use super::facts::Facts;
use super::pair::unreadable;
use super::pem;
use crate::crypto::provider;
use crate::disk;
use crate::problem::{Problem, Problems};

/// The root certificates of the system, read at first use.
#[derive(Default)]
pub(crate) struct SystemRoots {
    found: OnceCell<Found>,
    subjects: OnceCell<BTreeSet<Vec<u8>>>,
}

struct Found {
    certificates: Vec<CertificateDer<'static>>,
    /// The first error while reading.
    error: Option<String>,
}

impl SystemRoots {
    /// Returns whether one of the roots has the subject `name`, given as DER.
    pub(crate) fn have(&self, name: &[u8]) -> bool {
        let read = || {
            let facts = self.found().certificates.iter().filter_map(Facts::read);
            facts.map(|root| root.subject).collect()
        };
        self.subjects.get_or_init(read).contains(name)
    }

    /// Returns the usable roots. `key` is the setting that the error suggests instead.
    fn store(&self, key: &str) -> Result<RootCertStore, Problem> {
        let Found { certificates, error } = self.found();
        let mut roots = RootCertStore::empty();
        // Some certificates of a system store may be unusable; the others are enough.
        let (usable, _) = roots.add_parsable_certificates(certificates.iter().cloned());
        if usable > 0 {
            return Ok(roots);
        }
        let cause = error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        let message = format!(
            "the system has no root certificates{cause}; install the package ca-certificates, or set {key}"
        );
        Err(Problem::new(key, message))
    }

    fn found(&self) -> &Found {
        self.found.get_or_init(|| {
            let found = load_native_certs();
            let error = found.errors.first().map(ToString::to_string);
            Found { certificates: found.certs, error }
        })
    }
}

/// Creates the configuration of a client: TLS 1.2 and 1.3, the protocols `alpn`, session resumption
/// in memory. The roots are those of the PEM file `ca`, or of `system` without a file. `key` is the
/// setting that names the file.
///
/// # Errors
/// - The file is missing, is not a PEM file, or contains a certificate that cannot be a root.
/// - The system has no roots.
pub(crate) fn client_config(
    ca: Option<&Path>,
    key: &str,
    system: &SystemRoots,
    alpn: &[&[u8]],
) -> Result<ClientConfig, Problems> {
    client_trusting(roots(ca, key, system)?, key, alpn)
}

/// The roots that [`client_config`] uses, with its errors.
pub(crate) fn roots(ca: Option<&Path>, key: &str, system: &SystemRoots) -> Result<RootCertStore, Problems> {
    match ca {
        Some(path) => file(path),
        None => Ok(system.store(key)?),
    }
}

/// As [`client_config`], with roots that were read before.
pub(crate) fn client_trusting(
    roots: RootCertStore,
    key: &str,
    alpn: &[&[u8]],
) -> Result<ClientConfig, Problems> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Problem::new(key, format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    Ok(config)
}

fn file(path: &Path) -> Result<RootCertStore, Problems> {
    let content = disk::read(path, disk::SMALL).map_err(|error| unreadable(path, &error))?;
    let certificates = pem::certificates(&content.bytes).map_err(|error| Problem::at(path, error))?;
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

#[cfg(test)]
mod tests;
