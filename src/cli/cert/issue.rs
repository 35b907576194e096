//! Makes and signs certificates (RFC 5280).

use std::path::Path;

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use super::Failure;
use super::name::HostName;
use crate::config::{CertificateFiles, Problem};
use crate::secret::Secret;
use crate::tls::pair;
use crate::tls::x509::Facts;

/// A certificate and its key as PEM, not yet written anywhere.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: Secret,
    /// The certificate ends earlier than asked, with its CA.
    pub(super) shortened: bool,
}

/// A new self-signed CA with a P-256 key. It may sign certificates of servers and clients, no further CA.
pub(super) fn authority(name: &str, days: u16) -> Result<Made, Failure> {
    let key = KeyPair::generate()?;
    let mut params = params(OffsetDateTime::now_utc() + Duration::days(days.into()))?;
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok(Made { certificate: certificate.pem(), key: pem(&key), shortened: false })
}

/// A CA read from disk, able to sign.
pub(super) struct Authority {
    facts: Facts,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Reads `ca.crt` and `ca.key` in `directory`, whoever made them.
    pub(super) fn read(directory: &Path) -> Result<Self, Failure> {
        let files = CertificateFiles { certificate: directory.join("ca.crt"), key: directory.join("ca.key") };
        let pair = pair::read(&files);
        if !pair.problems.is_empty() {
            return Err(unusable(directory, &pair.problems));
        }
        let (Some(chain), Some(key)) = (pair.chain, pair.key) else { return Err(unusable(directory, &[])) };
        let Some(certificate) = chain.into_iter().next() else { return Err(unusable(directory, &[])) };
        let refusal = if !certificate.facts.ca || !certificate.facts.may_sign {
            Some("is not the certificate of a CA; make one with `tidegate cert ca`")
        } else if certificate.facts.not_after < OffsetDateTime::now_utc() {
            Some("has expired; make a new CA with `tidegate cert ca --force` and give it to all clients")
        } else {
            None
        };
        if let Some(message) = refusal {
            return Err(unusable(directory, &[pair::problem(&files.certificate, message)]));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate.der, KeyPair::try_from(&key.der)?)?;
        Ok(Self { facts: certificate.facts, issuer })
    }

    /// A new certificate with a new P-256 key for a server of these names. The file needs no chain: the CA is
    /// what clients have.
    pub(super) fn issue(&self, names: &[HostName], days: u16) -> Result<Made, Failure> {
        let asked = OffsetDateTime::now_utc() + Duration::days(days.into());
        let not_after = asked.min(self.facts.not_after);
        let mut params = params(not_after)?;
        // Only people read the common name, in a list of certificates.
        let common_name = names.iter().map(ToString::to_string).find(|name| name.len() <= 64);
        params.distinguished_name.push(DnType::CommonName, common_name.as_deref().unwrap_or("registry"));
        for name in names {
            let name = match name {
                HostName::Dns(name) => SanType::DnsName(name.as_str().try_into()?),
                HostName::Address(address) => SanType::IpAddress(*address),
            };
            if !params.subject_alt_names.contains(&name) {
                params.subject_alt_names.push(name);
            }
        }
        // Says CA:FALSE, and adds the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        // rcgen writes the CA's name anew; an exotic one of another tool may come out in other bytes, and then
        // no client finds the way from this certificate to that CA.
        if Facts::read(certificate.der()).is_none_or(|facts| facts.issuer != self.facts.subject) {
            return Err(Failure::BadAuthority(
                "the name in ca.crt is too unusual to be copied; make a CA with `tidegate cert ca`"
                    .to_owned(),
            ));
        }
        Ok(Made { certificate: certificate.pem(), key: pem(&key), shortened: not_after < asked })
    }
}

fn params(not_after: OffsetDateTime) -> Result<CertificateParams, Failure> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.serial_number = Some(serial()?);
    // An hour back, for clients whose clock is behind.
    params.not_before = OffsetDateTime::now_utc() - Duration::HOUR;
    params.not_after = not_after;
    Ok(params)
}

/// 128 random bits: positive as RFC 5280 section 4.1.2.2 wants it, and shorter than its 20 octets.
fn serial() -> Result<SerialNumber, Failure> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| Failure::Crypto("the system gives no random numbers".to_owned()))?;
    Ok(SerialNumber::from_slice(&bytes))
}

fn pem(key: &KeyPair) -> Secret {
    Secret::new(key.serialize_pem().into_bytes())
}

fn unusable(directory: &Path, problems: &[Problem]) -> Failure {
    if problems.len() > 1 && problems.iter().all(|problem| problem.missing) {
        return Failure::NoAuthority(directory.display().to_string());
    }
    let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
    Failure::BadAuthority(lines.join("\n"))
}

impl From<rcgen::Error> for Failure {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}
