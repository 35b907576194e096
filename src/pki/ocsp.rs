//! Parsing OCSP responses (RFC 6960 section 4.2.1).

use time::OffsetDateTime;
use x509_parser::asn1_rs::{BitString, Enumerated, GeneralizedTime, Integer, Oid, oid};

use super::der::{Elements, Malformed};
use super::facts::without_zeros;

/// id-pkix-ocsp-basic, RFC 6960 section 4.2.1.
const BASIC: Oid<'_> = oid!(1.3.6.1.5.5.7.48.1.1);

/// The status of one certificate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SingleResponse {
    /// Big-endian, without leading zeros.
    pub(super) serial: Vec<u8>,
    pub(super) status: Status,
    pub(super) this_update: OffsetDateTime,
    pub(super) next_update: Option<OffsetDateTime>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Good,
    Revoked,
    Unknown,
}

/// Why a response contains no status.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum OcspError {
    /// The bytes are not an OCSP response.
    Malformed,
    /// The CA answered with this error.
    Refused(&'static str),
    /// The response type is not basic.
    NotBasic,
}

/// Reads the single responses of an OCSP response. Does not verify the signature.
pub(super) fn read(der: &[u8]) -> Result<Vec<SingleResponse>, OcspError> {
    let mut response = Elements::new(der);
    let mut fields = response.sequence()?;
    response.end()?;
    let status: Enumerated = fields.next()?;
    if let Some(error) = error(status.0)? {
        return Err(OcspError::Refused(error));
    }
    let Some(mut bytes) = fields.tagged(0)? else { return Err(OcspError::NotBasic) };
    fields.end()?;
    let mut bytes = bytes.sequence()?;
    if bytes.next::<Oid<'_>>()? != BASIC {
        return Err(OcspError::NotBasic);
    }
    let basic = basic(bytes.next()?)?;
    bytes.end()?;
    Ok(basic)
}

/// Reads a BasicOCSPResponse: the data, then the signature.
fn basic(der: &[u8]) -> Result<Vec<SingleResponse>, Malformed> {
    let mut response = Elements::new(der);
    let mut fields = response.sequence()?;
    response.end()?;
    let mut data = fields.sequence()?;
    let _algorithm = fields.sequence()?;
    let _signature: BitString<'_> = fields.next()?;
    let _certificates = fields.tagged(0)?;
    fields.end()?;

    let _version = data.tagged(0)?;
    // The responder is given by name or by the hash of its key.
    if data.tagged(1)?.is_none() && data.tagged(2)?.is_none() {
        return Err(Malformed);
    }
    let _produced_at: GeneralizedTime = data.next()?;
    let mut list = data.sequence()?;
    let mut responses = Vec::new();
    while !list.is_empty() {
        responses.push(single(list.sequence()?)?);
    }
    let _extensions = data.tagged(1)?;
    data.end()?;
    Ok(responses)
}

fn single(mut fields: Elements<'_>) -> Result<SingleResponse, Malformed> {
    let mut id = fields.sequence()?;
    let _hash_algorithm = id.sequence()?;
    let _issuer_name_hash: &[u8] = id.next()?;
    let _issuer_key_hash: &[u8] = id.next()?;
    let serial: Integer<'_> = id.next()?;
    id.end()?;
    let status = status(&mut fields)?;
    let this_update = moment(&mut fields)?;
    let next_update = fields.tagged(0)?.map(|mut field| moment(&mut field)).transpose()?;
    let _extensions = fields.tagged(1)?;
    fields.end()?;
    Ok(SingleResponse { serial: without_zeros(serial.as_ref()), status, this_update, next_update })
}

fn status(fields: &mut Elements<'_>) -> Result<Status, Malformed> {
    let (status, rest) = if let Some(null) = fields.tagged(0)? {
        (Status::Good, null)
    } else if let Some(mut info) = fields.tagged(1)? {
        moment(&mut info)?;
        let _reason = info.tagged(0)?;
        (Status::Revoked, info)
    } else {
        (Status::Unknown, fields.tagged(2)?.ok_or(Malformed)?)
    };
    rest.end()?;
    Ok(status)
}

fn moment(fields: &mut Elements<'_>) -> Result<OffsetDateTime, Malformed> {
    fields.next::<GeneralizedTime>()?.utc_datetime().map_err(|_| Malformed)
}

/// Returns the name of an OCSPResponseStatus, or `None` for `successful`.
fn error(status: u32) -> Result<Option<&'static str>, Malformed> {
    match status {
        0 => Ok(None),
        1 => Ok(Some("malformedRequest")),
        2 => Ok(Some("internalError")),
        3 => Ok(Some("tryLater")),
        5 => Ok(Some("sigRequired")),
        6 => Ok(Some("unauthorized")),
        _ => Err(Malformed),
    }
}

impl From<Malformed> for OcspError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
