//! The certificates of the settings, read and judged.

use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use super::check::RenewedBy;
use super::facts::Facts;
use super::staple::Staple;
use super::{check, pair};
use crate::config::CertificateFiles;
use crate::problem::{Problem, Problems};

/// A certificate with its key, as a server shows it.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    /// The chain in the order of the file, and the key.
    pub(crate) certified: CertifiedKey,
    /// What the first certificate says.
    pub(crate) facts: Facts,
    /// The CA's word that it is good.
    pub(crate) staple: Option<Staple>,
}

/// Reads all files and judges them at the moment `now`. The identities come in the order of `files`, with what works
/// today and deserves a line in the log. `is_root` tells whether the system trusts a CA of this name.
///
/// # Errors
/// Everything that is wrong with every file.
pub(crate) fn load(
    files: &[CertificateFiles],
    renewed_by: RenewedBy,
    now: OffsetDateTime,
    is_root: &dyn Fn(&[u8]) -> bool,
) -> Result<(Vec<Identity>, Vec<Problem>), Problems> {
    let (mut identities, mut errors, mut warnings) = (Vec::new(), Vec::new(), Vec::new());
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
            identities.push(Identity { certified: CertifiedKey::new(chain, key.signing), facts, staple });
        }
    }
    if errors.is_empty() { Ok((identities, warnings)) } else { Err(Problems(errors)) }
}
