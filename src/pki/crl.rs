//! Certificate revocation lists (RFC 5280 section 5).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rustls::pki_types::CertificateRevocationListDer;
use time::OffsetDateTime;
use x509_parser::extensions::{IssuingDistributionPoint, ParsedExtension};
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};

use super::facts::without_zeros;
use super::signature::is_signed;

/// A list (version 1 or 2) of one CA. Reading does not verify its signature; see
/// [`Crl::is_signed_by`].
#[derive(Debug)]
pub(crate) struct Crl {
    /// The name of the CA as DER.
    pub(crate) issuer: Vec<u8>,
    /// When a newer list is due, if the list says so.
    pub(crate) next_update: Option<OffsetDateTime>,
    /// The CRL number for the next list, big-endian.
    pub(crate) next_number: Vec<u8>,
    /// The revoked certificates by serial number, big-endian, without leading zeros.
    pub(crate) entries: BTreeMap<Vec<u8>, Entry>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    /// The public key with which the signature was verified.
    signer: OnceLock<Vec<u8>>,
}

/// One revoked certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) revoked: OffsetDateTime,
    /// CRLReason, RFC 5280 section 5.3.1.
    pub(crate) reason: Option<u8>,
    /// The invalidity date, RFC 5280 section 5.3.2.
    pub(crate) invalid_since: Option<OffsetDateTime>,
}

/// Why a list cannot be used. The message completes a sentence that starts with the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CrlError {
    #[error("holds a damaged list of revoked certificates (CRL)")]
    Damaged,
    #[error("holds an indirect CRL (of several CAs), which is not supported; get one CRL for each CA")]
    Indirect,
    #[error("holds a CRL that covers only some of the CA's certificates; get the complete CRL")]
    Partial,
    #[error(
        "holds a CRL with an unsupported critical extension (it may be a delta CRL); get the complete CRL of the CA"
    )]
    Critical,
}

impl Crl {
    pub(crate) fn read(der: &CertificateRevocationListDer<'_>) -> Result<Self, CrlError> {
        let Ok(([], list)) = x509_parser::parse_x509_crl(der) else { return Err(CrlError::Damaged) };
        let mut next_number = vec![1];
        for extension in list.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::CRLNumber(number) => next_number = (number + 1_u32).to_bytes_be(),
                ParsedExtension::IssuingDistributionPoint(scope) if scope.indirect_crl => {
                    return Err(CrlError::Indirect);
                }
                ParsedExtension::IssuingDistributionPoint(scope) if is_partial(scope) => {
                    return Err(CrlError::Partial);
                }
                ParsedExtension::IssuingDistributionPoint(_) => {}
                _ if extension.critical => return Err(CrlError::Critical),
                _ => {}
            }
        }
        Ok(Self {
            issuer: list.issuer().as_raw().to_vec(),
            next_update: list.next_update().map(|time| time.to_datetime()),
            next_number,
            entries: entries(&list)?,
            signed: list.tbs_cert_list.as_ref().to_vec(),
            signature: list.signature_value.data.to_vec(),
            signer: OnceLock::new(),
        })
    }

    /// Returns whether the list is signed by `public_key`, a SubjectPublicKeyInfo in DER. Success
    /// is cached.
    pub(crate) fn is_signed_by(&self, public_key: &[u8]) -> bool {
        if let Some(signer) = self.signer.get() {
            return signer == public_key;
        }
        let signed = is_signed(&self.signed, &self.signature, public_key);
        if signed {
            // Another thread may have stored it first.
            _ = self.signer.set(public_key.to_vec());
        }
        signed
    }

    /// Returns whether the certificate with this serial number (no leading zeros) is revoked.
    pub(crate) fn revokes(&self, serial: &[u8]) -> bool {
        self.entries.contains_key(serial)
    }
}

/// Only the name of the distribution point leaves the contents unrestricted.
fn is_partial(scope: &IssuingDistributionPoint<'_>) -> bool {
    scope.only_contains_user_certs
        || scope.only_contains_ca_certs
        || scope.only_contains_attribute_certs
        || scope.only_some_reasons.is_some()
}

fn entries(list: &CertificateRevocationList<'_>) -> Result<BTreeMap<Vec<u8>, Entry>, CrlError> {
    let entry = |entry: &RevokedCertificate<'_>| {
        // It names another CA as the issuer of the certificate.
        if entry.extensions().iter().any(|extension| extension.critical) {
            return Err(CrlError::Indirect);
        }
        let revoked = Entry {
            revoked: entry.revocation_date.to_datetime(),
            reason: entry.reason_code().map(|(_, reason)| reason.0),
            invalid_since: entry.invalidity_date().map(|(_, date)| date.to_datetime()),
        };
        Ok((without_zeros(entry.raw_serial()), revoked))
    };
    list.iter_revoked_certificates().map(entry).collect()
}
