//! OCSP stapling (RFC 6960; RFC 6066 section 8).

use std::io;
use std::ops::Range;
use std::path::Path;

use time::OffsetDateTime;

use super::dates::date;
use super::ocsp::{self, OcspError, SingleResponse, Status};
use crate::disk;
use crate::problem::Problem;

/// An OCSP response with the status `good`.
///
/// The signature is not verified: clients do that, and a forged response does no more harm than a
/// missing one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Staple {
    /// The response as sent in the handshake.
    pub(crate) der: Vec<u8>,
    /// From `thisUpdate` to `nextUpdate`.
    pub(crate) valid: Range<OffsetDateTime>,
}

impl Staple {
    /// Returns whether clients accept the response at the time `now`.
    pub(crate) fn is_valid(&self, now: OffsetDateTime) -> bool {
        self.valid.contains(&now)
    }

    /// Reads the response for the certificate with this serial number, if the file exists.
    ///
    /// # Errors
    /// Why the response is unusable. The certificate is then served without one.
    pub(crate) fn read(path: &Path, serial: &[u8], now: OffsetDateTime) -> Result<Option<Self>, Problem> {
        let unusable =
            |reason: String| Problem::at(path, reason + "; until then the certificate is served without it");
        match disk::read(path, disk::SMALL) {
            Ok(content) => Self::parse(content.bytes, serial, now).map(Some).map_err(unusable),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unusable(format!("cannot be read: {error}; make it readable, or remove it"))),
        }
    }

    pub(crate) fn parse(der: Vec<u8>, serial: &[u8], now: OffsetDateTime) -> Result<Self, String> {
        let single = find(&der, serial)?;
        match single.status {
            Status::Good => {}
            Status::Revoked => {
                return Err("says that the certificate has been revoked; get a new certificate".to_owned());
            }
            Status::Unknown => {
                return Err("says that the CA does not know the certificate; ask the CA".to_owned());
            }
        }
        let next_update = single.next_update.ok_or(
            "does not say how long it is valid (nextUpdate); fetch one that does, or make it with `-ndays`",
        )?;
        let valid = single.this_update..next_update;
        if now >= valid.end {
            return Err(format!("expired on {}; fetch a new one", date(valid.end)));
        }
        Ok(Self { der, valid })
    }
}

/// Finds the status of the certificate with this serial number.
fn find(der: &[u8], serial: &[u8]) -> Result<SingleResponse, String> {
    let responses = ocsp::read(der).map_err(|error| match error {
        OcspError::Malformed => {
            "is not an OCSP response in DER form; fetch it with `openssl ocsp -respout`".to_owned()
        }
        OcspError::Refused(error) => {
            format!("holds an error of the CA ({error}) instead of a response; fetch it again")
        }
        OcspError::NotBasic => {
            "is of a type that clients do not know; fetch a basic OCSP response".to_owned()
        }
    })?;
    let other = "is about another certificate; fetch it again whenever the certificate is renewed";
    responses.into_iter().find(|single| single.serial == serial).ok_or_else(|| other.to_owned())
}

#[cfg(test)]
mod tests;
