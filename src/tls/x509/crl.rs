//! What a certificate revocation list says (RFC 5280 section 5).

use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;
use x509_parser::extensions::ParsedExtension;
use x509_parser::revocation_list::{CertificateRevocationList, RevokedCertificate};

use super::without_zeros;
use crate::tls::pem;

/// A whole list of one CA, so that it can be written anew.
#[derive(Debug, Clone)]
pub(crate) struct Crl {
    /// The number that the list after this one has, big-endian.
    pub(crate) next_number: Vec<u8>,
    /// In the order of the list.
    pub(crate) entries: Vec<Entry>,
}

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Big-endian, without leading zeros.
    pub(crate) serial: Vec<u8>,
    pub(crate) revoked: OffsetDateTime,
    /// CRLReason of RFC 5280 section 5.3.1.
    pub(crate) reason: Option<u8>,
    /// Since when the certificate was not to be trusted, when that is known.
    pub(crate) invalid_since: Option<OffsetDateTime>,
}

/// Why a file is not the list of a CA. Displayed after the file's name, each is one sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error(transparent)]
    Pem(#[from] pem::Fault),
    #[error("holds {0} revocation lists; leave only the one of this CA")]
    Several(usize),
    #[error("holds a revocation list that is damaged")]
    Damaged,
    #[error("is the revocation list of another CA")]
    Foreign,
    #[error("is not signed with this CA's key: it was changed, or is of another CA with the same name")]
    Signature,
    #[error("is not a whole list of this CA: it has a critical extension")]
    Partial,
}

impl Crl {
    /// The one list in the PEM file `text`, which must be `issuer`'s by name and signature.
    pub(crate) fn read(text: &[u8], issuer: &CertificateDer<'_>) -> Result<Self, Fault> {
        let lists = pem::revocation_lists(text)?;
        let [list] = lists.as_slice() else { return Err(Fault::Several(lists.len())) };
        let (Ok(([], list)), Ok((_, issuer))) =
            (x509_parser::parse_x509_crl(list), x509_parser::parse_x509_certificate(issuer))
        else {
            return Err(Fault::Damaged);
        };
        if list.issuer().as_raw() != issuer.subject().as_raw() {
            return Err(Fault::Foreign);
        }
        list.verify_signature(issuer.public_key()).map_err(|_| Fault::Signature)?;
        Self::of(&list)
    }

    fn of(list: &CertificateRevocationList<'_>) -> Result<Self, Fault> {
        // Says that it is a difference to another list, or the list of some certificates only.
        if list.extensions().iter().any(|extension| extension.critical) {
            return Err(Fault::Partial);
        }
        let number = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::CRLNumber(number) => Some(number),
            _ => None,
        });
        let next_number = number.map_or_else(|| vec![1], |number| (number + 1_u32).to_bytes_be());
        let entries = list.iter_revoked_certificates().map(Entry::of).collect::<Result<_, _>>()?;
        Ok(Self { next_number, entries })
    }
}

impl Entry {
    fn of(entry: &RevokedCertificate<'_>) -> Result<Self, Fault> {
        // Says that the certificate is of yet another CA.
        if entry.extensions().iter().any(|extension| extension.critical) {
            return Err(Fault::Partial);
        }
        Ok(Self {
            serial: without_zeros(entry.raw_serial()),
            revoked: entry.revocation_date.to_datetime(),
            reason: entry.reason_code().map(|(_, reason)| reason.0),
            invalid_since: entry.invalidity_date().map(|(_, date)| date.to_datetime()),
        })
    }
}
