//! OCSP stapling (RFC 6960; RFC 6066, section 8): the CA's word that a certificate is good, shown beside it. The only
//! file that knows x509-ocsp.

use std::io;
use std::ops::Range;
use std::path::Path;

use der::Decode as _;
use der::oid::AssociatedOid as _;
use time::OffsetDateTime;
use x509_ocsp::{
    BasicOcspResponse, CertStatus, OcspGeneralizedTime, OcspResponse, OcspResponseStatus, SingleResponse,
};

use super::dates::date;
use crate::disk;
use crate::problem::Problem;

/// A response that calls the certificate good.
///
/// Whether its signature is the CA's is not checked: clients do that, and one forged in a file that is ours to
/// read would do no more harm than one that is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staple {
    /// The response as it goes into the handshake.
    pub(crate) der: Vec<u8>,
    /// From one update of the CA's to the next.
    pub(crate) valid: Range<OffsetDateTime>,
}

impl Staple {
    /// Whether clients take it at the moment `now`: not any more, or not yet where clocks differ.
    pub(crate) fn is_valid(&self, now: OffsetDateTime) -> bool {
        self.valid.contains(&now)
    }

    /// Reads a response about the certificate with this serial number, when there is such a file.
    ///
    /// # Errors
    /// Why it is of no use. Never a reason not to start: the certificate does without.
    pub(crate) fn read(path: &Path, serial: &[u8], now: OffsetDateTime) -> Result<Option<Self>, Problem> {
        let useless =
            |reason: String| Problem::at(path, reason + "; until then the certificate goes without");
        match disk::read(path, disk::SMALL) {
            Ok(content) => Self::parse(content.bytes, serial, now).map(Some).map_err(useless),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(useless(format!("cannot be read: {error}; make it readable, or remove it"))),
        }
    }

    fn parse(der: Vec<u8>, serial: &[u8], now: OffsetDateTime) -> Result<Self, String> {
        let single = find(&der, serial)?;
        match single.cert_status {
            CertStatus::Good(_) => (),
            CertStatus::Revoked(_) => {
                return Err("says that the certificate has been revoked; get a new certificate".to_owned());
            }
            CertStatus::Unknown(_) => {
                return Err("says that the CA does not know the certificate; ask the CA".to_owned());
            }
        }
        let next_update = single.next_update.ok_or(
            "does not say how long it holds (nextUpdate); fetch one that does, or make it with `-ndays`",
        )?;
        let valid = moment(single.this_update)..moment(next_update);
        if now >= valid.end {
            return Err(format!("held until {}; fetch a new one", date(valid.end)));
        }
        Ok(Self { der, valid })
    }
}

/// What the response says of one certificate.
fn find(der: &[u8], serial: &[u8]) -> Result<SingleResponse, String> {
    let malformed = "is no OCSP response in DER form; fetch it with `openssl ocsp -respout`";
    let response = OcspResponse::from_der(der).map_err(|_| malformed)?;
    if response.response_status != OcspResponseStatus::Successful {
        return Err(format!(
            "is the CA's refusal to answer ({:?}) and no response; fetch it again",
            response.response_status
        ));
    }
    let bytes = response
        .response_bytes
        .filter(|bytes| bytes.response_type == BasicOcspResponse::OID)
        .ok_or("is of a kind that clients do not know; fetch a basic OCSP response")?;
    let basic = BasicOcspResponse::from_der(bytes.response.as_bytes()).map_err(|_| malformed)?;
    let mut responses = basic.tbs_response_data.responses.into_iter();
    let about = |single: &SingleResponse| without_zeros(single.cert_id.serial_number.as_bytes()) == serial;
    let other = "is about another certificate; fetch it anew whenever the certificate is renewed";
    responses.find(about).ok_or(other.to_owned())
}

/// As [`super::facts::Facts::serial`] has it.
fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

fn moment(time: OcspGeneralizedTime) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + time.0.to_unix_duration()
}

#[cfg(test)]
mod tests;
