//! The revocation list of a CA, `ca.crl` beside its certificate (RFC 5280 section 5).

use std::path::{Path, PathBuf};

use rcgen::{
    CertificateRevocationListParams, KeyIdMethod, RevocationReason, RevokedCertParams, SerialNumber,
};
use time::OffsetDateTime;

use super::Failure;
use super::authority::{Authority, REVOCATION_LIST};
use super::files::failed;
use super::serial::Serial;
use crate::disk::Rewrite;
use crate::tls::pair;
use crate::tls::x509::crl::{Crl, Entry};

/// A CA's list, which no other command changes until this is dropped.
pub(super) struct RevocationList<'a> {
    authority: &'a Authority,
    pub(super) path: PathBuf,
    file: Rewrite,
    crl: Crl,
}

impl<'a> RevocationList<'a> {
    /// The list in `directory`, an empty one when there is none. A file that is not this CA's list is refused.
    pub(super) fn open(authority: &'a Authority, directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(REVOCATION_LIST);
        let file = Rewrite::begin(&path, Some(0o644)).map_err(|error| failed(&path, error))?;
        let crl = match file.is_new() {
            true => none_revoked(),
            false => Crl::read(file.text(), &authority.certificate.der).map_err(|fault| {
                let sentence = format!("{fault}; nothing was written, move it away to begin a new list");
                Failure::Unusable(vec![pair::problem(&path, sentence)])
            })?,
        };
        Ok(Self { authority, path, file, crl })
    }

    /// How many certificates are revoked.
    pub(super) fn len(&self) -> usize {
        self.crl.entries.len()
    }

    /// Since when the certificate is revoked.
    pub(super) fn revoked(&self, serial: &Serial) -> Option<OffsetDateTime> {
        let mut entries = self.crl.entries.iter();
        entries.find(|entry| entry.serial == serial.as_bytes()).map(|entry| entry.revoked)
    }

    /// Adds a certificate that is not in the list.
    pub(super) fn revoke(&mut self, serial: &Serial) {
        let revoked = OffsetDateTime::now_utc();
        let serial = serial.as_bytes().to_vec();
        self.crl.entries.push(Entry { serial, revoked, reason: None, invalid_since: None });
    }

    /// Signs the list anew, with the next number, and puts it in the place of the old one.
    pub(super) fn write(self) -> Result<(), Failure> {
        let text = sign(self.authority, &self.crl)?;
        self.file.commit(text.as_bytes()).map_err(|error| failed(&self.path, error))
    }
}

/// The first list of a new CA, as PEM.
pub(super) fn first(authority: &Authority) -> Result<String, Failure> {
    sign(authority, &none_revoked())
}

fn none_revoked() -> Crl {
    Crl { next_number: vec![1], entries: Vec::new() }
}

fn sign(authority: &Authority, crl: &Crl) -> Result<String, Failure> {
    let facts = &authority.certificate.facts;
    let list = CertificateRevocationListParams {
        this_update: OffsetDateTime::now_utc(),
        // It is written when a certificate is revoked, and good until then.
        next_update: facts.not_after,
        crl_number: SerialNumber::from_slice(&crl.next_number),
        issuing_distribution_point: None,
        revoked_certs: crl.entries.iter().map(entry).collect(),
        key_identifier_method: facts.key_id.clone().map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified),
    };
    let text = match list.signed_by(&authority.issuer) {
        Err(rcgen::Error::IssuerNotCrlSigner) => Err(unable("its key usage lacks cRLSign")),
        signed => Ok(signed?.pem()?),
    }?;
    // Whoever verifies goes by the same name and signature; the name of an exotic CA may not survive rcgen.
    Crl::read(text.as_bytes(), &authority.certificate.der).map_err(unable)?;
    Ok(text)
}

fn unable(reason: impl std::fmt::Display) -> Failure {
    Failure::BadAuthority(format!(
        "the CA in ca.crt cannot sign a revocation list: {reason}; make a CA with `tidegate cert ca`"
    ))
}

fn entry(entry: &Entry) -> RevokedCertParams {
    RevokedCertParams {
        serial_number: SerialNumber::from_slice(&entry.serial),
        revocation_time: entry.revoked,
        reason_code: entry.reason.and_then(reason),
        invalidity_date: entry.invalid_since,
    }
}

/// RFC 5280 section 5.3.1.
fn reason(code: u8) -> Option<RevocationReason> {
    Some(match code {
        1 => RevocationReason::KeyCompromise,
        2 => RevocationReason::CaCompromise,
        3 => RevocationReason::AffiliationChanged,
        4 => RevocationReason::Superseded,
        5 => RevocationReason::CessationOfOperation,
        6 => RevocationReason::CertificateHold,
        8 => RevocationReason::RemoveFromCrl,
        9 => RevocationReason::PrivilegeWithdrawn,
        10 => RevocationReason::AaCompromise,
        _ => return None,
    })
}
