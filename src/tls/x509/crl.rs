//! A list of certificates that their CA has revoked (RFC 5280, section 5).

use std::collections::HashSet;
use std::sync::OnceLock;

use rustls::pki_types::{CertificateRevocationListDer, SubjectPublicKeyInfoDer};
use time::OffsetDateTime;
use webpki::RawPublicKeyEntity;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::tls::provider;

/// One list, of version 1 or 2, whose signature is checked as soon as its signer is known.
#[derive(Debug)]
pub(crate) struct RevocationList {
    /// The name of the CA as DER.
    pub(crate) issuer: Vec<u8>,
    /// When a newer list has to be there; not every list says so.
    pub(crate) next_update: Option<OffsetDateTime>,
    serials: HashSet<Box<[u8]>>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    /// The key that was seen to have signed it.
    signer: OnceLock<Vec<u8>>,
}

impl RevocationList {
    /// Fails with what is wrong, as the end of a sentence that begins with the name of the file.
    pub(crate) fn read(der: &CertificateRevocationListDer<'_>) -> Result<Self, &'static str> {
        let (rest, list) = CertificateRevocationList::from_der(der)
            .map_err(|_| "holds a list of revoked certificates that is damaged")?;
        if !rest.is_empty() {
            return Err("holds more than a list of revoked certificates");
        }
        for extension in list.extensions() {
            match extension.parsed_extension() {
                ParsedExtension::IssuingDistributionPoint(scope) if scope.indirect_crl => {
                    return Err(
                        "holds an indirect list, of several CAs, which is not read; get one list of each CA",
                    );
                }
                ParsedExtension::UnsupportedExtension { .. } | ParsedExtension::ParseError { .. }
                    if extension.critical =>
                {
                    return Err(
                        "holds a list with a critical extension that is not understood, or a delta list; get the whole list of the CA",
                    );
                }
                _ => {}
            }
        }
        Ok(Self {
            issuer: list.issuer().as_raw().to_vec(),
            next_update: list.next_update().map(|time| time.to_datetime()),
            serials: list.iter_revoked_certificates().map(|one| number(one.raw_serial()).into()).collect(),
            signed: list.tbs_cert_list.as_ref().to_vec(),
            signature: list.signature_value.data.to_vec(),
            signer: OnceLock::new(),
        })
    }

    /// Whether the owner of this key has signed the list. The answer yes is remembered.
    pub(crate) fn is_signed_by(&self, public_key: &[u8]) -> bool {
        if self.signer.get().is_some_and(|signer| signer == public_key) {
            return true;
        }
        let info = SubjectPublicKeyInfoDer::from(public_key);
        let Ok(entity) = RawPublicKeyEntity::try_from(&info) else { return false };
        let algorithms = provider().signature_verification_algorithms.all;
        let mut tried = algorithms.iter();
        let signed =
            tried.any(|algorithm| entity.verify_signature(*algorithm, &self.signed, &self.signature).is_ok());
        if signed {
            // Another signer may be there already: two CAs of one name and one list are rare, and only cost time.
            _ = self.signer.set(public_key.to_vec());
        }
        signed
    }

    /// Whether the certificate of this serial number is in the list.
    pub(crate) fn revokes(&self, serial: &[u8]) -> bool {
        self.serials.contains(number(serial))
    }
}

/// Without the zeros in front, of which not every CA writes as many.
fn number(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|&&byte| byte == 0).count();
    &serial[zeros..]
}
