//! What a certificate revocation list says (RFC 5280, section 5).

use std::collections::BTreeMap;
use std::sync::OnceLock;

use rustls::pki_types::CertificateRevocationListDer;
use time::OffsetDateTime;
use x509_parser::extensions::{IssuingDistributionPoint, ParsedExtension};
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};

use super::facts::without_zeros;
use super::signature::is_signed;

/// A list of version 1 or 2 of one CA. Whether that CA has signed it is another question: see [`Crl::is_signed_by`].
#[derive(Debug)]
pub(crate) struct Crl {
    /// The name of the CA as DER.
    pub(crate) issuer: Vec<u8>,
    /// When a newer list has to be there; not every list says so.
    pub(crate) next_update: Option<OffsetDateTime>,
    /// The number that the list after this one has, big-endian.
    pub(crate) next_number: Vec<u8>,
    /// By serial number, big-endian, without leading zeros.
    pub(crate) entries: BTreeMap<Vec<u8>, Entry>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    /// The key that was seen to have signed it.
    signer: OnceLock<Vec<u8>>,
}

/// One revoked certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) revoked: OffsetDateTime,
    /// CRLReason of RFC 5280 section 5.3.1.
    pub(crate) reason: Option<u8>,
    /// Since when the certificate was not to be trusted, when that is known.
    pub(crate) invalid_since: Option<OffsetDateTime>,
}

/// Why a list cannot be used. Displayed after the file's name, each is one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("holds a list of revoked certificates that is damaged")]
    Damaged,
    #[error("holds an indirect list, of several CAs, which is not read; get one list of each CA")]
    Indirect,
    #[error("holds a list of some of the CA's certificates only; get the whole list")]
    Partial,
    #[error(
        "holds a list with a critical extension that is not understood, maybe a delta list; get the whole list of the CA"
    )]
    Critical,
}

impl Crl {
    pub(crate) fn read(der: &CertificateRevocationListDer<'_>) -> Result<Self, Fault> {
        let Ok(([], list)) = x509_parser::parse_x509_crl(der) else { return Err(Fault::Damaged) };
        let mut next_number = vec![1];
        for extension in list.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::CRLNumber(number) => next_number = (number + 1_u32).to_bytes_be(),
                ParsedExtension::IssuingDistributionPoint(scope) if scope.indirect_crl => {
                    return Err(Fault::Indirect);
                }
                ParsedExtension::IssuingDistributionPoint(scope) if is_partial(scope) => {
                    return Err(Fault::Partial);
                }
                ParsedExtension::IssuingDistributionPoint(_) => {}
                _ if extension.critical => return Err(Fault::Critical),
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

    /// Whether the owner of `public_key`, a SubjectPublicKeyInfo in DER, has signed the list. A yes is remembered.
    pub(crate) fn is_signed_by(&self, public_key: &[u8]) -> bool {
        if let Some(signer) = self.signer.get() {
            return signer == public_key;
        }
        let signed = is_signed(&self.signed, &self.signature, public_key);
        if signed {
            // Somebody else may have found out at the same time.
            _ = self.signer.set(public_key.to_vec());
        }
        signed
    }

    /// Whether the certificate of this serial number, without leading zeros, is revoked.
    pub(crate) fn revokes(&self, serial: &[u8]) -> bool {
        self.entries.contains_key(serial)
    }
}

/// Where the list can be fetched says nothing of what is in it; everything else there does.
fn is_partial(scope: &IssuingDistributionPoint<'_>) -> bool {
    scope.only_contains_user_certs
        || scope.only_contains_ca_certs
        || scope.only_contains_attribute_certs
        || scope.only_some_reasons.is_some()
}

fn entries(list: &CertificateRevocationList<'_>) -> Result<BTreeMap<Vec<u8>, Entry>, Fault> {
    let entry = |entry: &RevokedCertificate<'_>| {
        // It says that the certificate is of yet another CA.
        if entry.extensions().iter().any(|extension| extension.critical) {
            return Err(Fault::Indirect);
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
