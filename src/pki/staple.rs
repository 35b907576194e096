//! OCSP stapling (RFC 6960; RFC 6066, section 8): the CA's word that a certificate is good, shown beside it.

use std::io;
use std::ops::Range;
use std::path::Path;

use time::OffsetDateTime;

use super::dates::date;
use super::ocsp::{self, NoResponse, SingleResponse, Status};
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

/// The statement about the certificate with this serial number.
fn find(der: &[u8], serial: &[u8]) -> Result<SingleResponse, String> {
    let responses = ocsp::read(der).map_err(|fault| match fault {
        NoResponse::Malformed => {
            "is not an OCSP response in DER form; fetch it with `openssl ocsp -respout`".to_owned()
        }
        NoResponse::Refused(error) => {
            format!("holds an error of the CA ({error}) instead of a response; fetch it again")
        }
        NoResponse::NotBasic => {
            "is of a type that clients do not know; fetch a basic OCSP response".to_owned()
        }
    })?;
    let other = "is about another certificate; fetch it again whenever the certificate is renewed";
    responses.into_iter().find(|single| single.serial == serial).ok_or_else(|| other.to_owned())
}

#[cfg(test)]
mod tests;
