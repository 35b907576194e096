//! Loading the server certificates.

use aws_lc_rs::hmac;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::check::RenewedBy;
use super::facts::Facts;
use super::staple::Staple;
use super::{check, pair};
use crate::config::CertificateFiles;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// A certificate that the server presents, with its key.
#[derive(Debug, Clone)]
pub(crate) struct ServedCertificate {
    /// The chain in the order of the file, and the key.
    pub(crate) certified: CertifiedKey,
    /// Derived from the private key: another secret that lasts as long as the key.
    pub(crate) secret: Secret,
    /// The facts of the first certificate.
    pub(crate) facts: Facts,
    /// The OCSP response to staple.
    pub(crate) staple: Option<Staple>,
}

/// Reads and checks all files at the time `now`. Returns the certificates in the order of `files`,
/// and the warnings. `is_root` returns whether the system trusts a CA with this name, given as DER.
///
/// # Errors
/// All errors of all files.
pub(crate) fn load(
    files: &[CertificateFiles],
    renewed_by: RenewedBy,
    now: OffsetDateTime,
    is_root: &dyn Fn(&[u8]) -> bool,
) -> Result<(Vec<ServedCertificate>, Vec<Problem>), Problems> {
    let (mut certificates, mut errors, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
    for files in files {
        let pair = pair::read(files);
        errors.extend(pair.problems);
        let Some(chain) = pair.chain else { continue };
        let findings = check::chain(&files.certificate, &chain, renewed_by, now, is_root);
        errors.extend(findings.errors);
        warnings.extend(findings.warnings);
        if let (Some(key), Some(leaf)) = (pair.key, chain.first()) {
            let facts = leaf.facts.clone();
            let staple = Staple::read(&files.staple(), &facts.serial, now);
            let staple = staple.unwrap_or_else(|problem| {
                warnings.push(problem);
                None
            });
            let chain = chain.into_iter().map(|certificate| certificate.der).collect();
            certificates.push(ServedCertificate {
                secret: derived(&key.der),
                certified: CertifiedKey::new(chain, key.signing),
                facts,
                staple,
            });
        }
    }
    if errors.is_empty() { Ok((certificates, warnings)) } else { Err(Problems(errors)) }
}

/// A secret for other purposes that says nothing about the private key.
pub(crate) fn derived(key: &PrivateKeyDer<'_>) -> Secret {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.secret_der());
    Secret::new(hmac::sign(&key, b"tidegate secret of a certificate").as_ref())
}
