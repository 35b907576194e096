//! New certificates: what all of them have in common.

use aws_lc_rs::rand;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, SerialNumber};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::error::CertError;
use super::serial::Serial;
use crate::pki::Facts;
use crate::secret::Secret;

/// A new certificate and its key as PEM, not yet written to files.
pub(in crate::cli) struct Issued {
    pub(in crate::cli) certificate: String,
    pub(in crate::cli) key: Secret,
    pub(super) serial: Serial,
    /// The certificate expires earlier than asked, together with its CA.
    pub(super) shortened: bool,
}

impl Issued {
    pub(super) fn new(certificate: &rcgen::Certificate, key: &KeyPair, facts: &Facts) -> Self {
        Self {
            certificate: certificate.pem(),
            key: Secret::new(key.serialize_pem().into_bytes()),
            serial: Serial::of(facts),
            shortened: false,
        }
    }

    /// A certificate signed by its own key.
    pub(in crate::cli) fn self_signed(params: &CertificateParams, key: &KeyPair) -> Result<Self, CertError> {
        let certificate = params.self_signed(key)?;
        Ok(Self::new(&certificate, key, &read_back(certificate.der())?))
    }

    /// A line for a user who asked for `days` and gets fewer; else empty.
    pub(super) fn note(&self, days: u16) -> String {
        if self.shortened {
            format!("note: it expires together with the CA, in less than {days} days\n")
        } else {
            String::new()
        }
    }
}

/// Reads the life of a certificate from the command line.
///
/// # Errors
/// What to write.
pub(in crate::cli) fn days(text: &str) -> Result<u16, String> {
    let days = text.parse().ok().filter(|days| (1..=36500).contains(days));
    days.ok_or_else(|| "write a whole number of days from 1 to 36500, without a unit".to_owned())
}

/// Sets name, serial number and dates.
pub(in crate::cli) fn fill_in(
    params: &mut CertificateParams,
    not_after: OffsetDateTime,
    name: &str,
) -> Result<(), CertError> {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(random_serial()?);
    // An hour back, for clients whose clock is behind.
    params.not_before = OffsetDateTime::now_utc() - Duration::HOUR;
    params.not_after = not_after;
    Ok(())
}

/// 128 random bits: positive as RFC 5280 section 4.1.2.2 demands, and shorter than its 20 octets.
fn random_serial() -> Result<SerialNumber, CertError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| CertError::Crypto("the system gives no random numbers".to_owned()))?;
    Ok(SerialNumber::from_slice(&bytes))
}

pub(super) fn read_back(certificate: &CertificateDer<'_>) -> Result<Facts, CertError> {
    Facts::read(certificate).ok_or_else(|| CertError::Crypto("it cannot be parsed again".to_owned()))
}
