//! A CA: its certificate and the key that signs others (RFC 5280).

use std::path::Path;

use aws_lc_rs::rand;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_RSA_SHA256, RsaKeySize, SerialNumber,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

use super::error::CertError;
use super::serial::Serial;
use crate::config::CertificateFiles;
use crate::pki::Facts;
use crate::pki::pair::{self, Certificate};
use crate::pki::pem;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// The CA's files in its directory.
pub(super) const CERTIFICATE: &str = "ca.crt";
pub(super) const KEY: &str = "ca.key";
pub(super) const REVOCATION_LIST: &str = "ca.crl";

/// A certificate and its key as PEM, not yet written anywhere.
pub(in crate::cli) struct Issued {
    pub(in crate::cli) certificate: String,
    pub(in crate::cli) key: Secret,
    pub(super) serial: Serial,
    /// The certificate ends earlier than asked, with its CA.
    pub(super) shortened: bool,
}

impl Issued {
    /// The line for the user who asked for `days`, when they are not given.
    pub(super) fn note(&self, days: u16) -> String {
        match self.shortened {
            true => format!("note: it expires together with the CA, before the {days} days are over\n"),
            false => String::new(),
        }
    }
}

/// A CA that is able to sign.
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    /// The rest of `ca.crt`: for a CA below another one the way up to the root.
    chain: Vec<Certificate>,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new self-signed CA with a P-256 key. It may sign certificates of servers and clients, no further CA.
    pub(super) fn make(name: &str, days: u16) -> Result<(Self, Issued), CertError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        begin(&mut params, OffsetDateTime::now_utc() + Duration::days(days.into()), name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let facts = read_back(certificate.der())?;
        let made = Issued {
            certificate: certificate.pem(),
            key: Secret::new(key.serialize_pem().into_bytes()),
            serial: Serial::of(&facts),
            shortened: false,
        };
        let certificate = Certificate { der: certificate.der().clone(), facts };
        Ok((Self { certificate, chain: Vec::new(), issuer: Issuer::new(params, key) }, made))
    }

    /// Reads `ca.crt` and `ca.key` in `directory`, whoever made them.
    pub(super) fn read(directory: &Path) -> Result<Self, CertError> {
        let files = CertificateFiles { certificate: directory.join(CERTIFICATE), key: directory.join(KEY) };
        let pair = pair::read(&files);
        let (Some(chain), Some(key), true) = (pair.chain, pair.key, pair.problems.is_empty()) else {
            return Err(unusable(directory, &Problems(pair.problems)));
        };
        let mut chain = chain.into_iter();
        let refused = |message| CertError::BadAuthority(Problem::at(&files.certificate, message).to_string());
        let Some(certificate) = chain.next() else { return Err(refused("holds no certificate")) };
        if !certificate.facts.ca || !certificate.facts.may_sign {
            return Err(refused("is not the certificate of a CA; make one with `tidegate cert ca`"));
        }
        if certificate.facts.not_after < OffsetDateTime::now_utc() {
            return Err(refused(
                "has expired; make a new CA with `tidegate cert ca --force` and give it to all clients",
            ));
        }
        let issuer = Issuer::from_ca_cert_der(&certificate.der, KeyPair::try_from(&key.der)?)?;
        Ok(Self { certificate, chain: chain.collect(), issuer })
    }

    /// A new certificate with a new P-256 key, for `days` but not longer than the CA. `params` hold what it
    /// says of whom it is for; the rest is put in here.
    pub(super) fn issue(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        days: u16,
    ) -> Result<Issued, CertError> {
        let asked = OffsetDateTime::now_utc() + Duration::days(days.into());
        let not_after = asked.min(self.certificate.facts.not_after);
        begin(&mut params, not_after, common_name)?;
        // Says CA:FALSE, and adds the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let facts = read_back(certificate.der())?;
        // rcgen writes the CA's name anew; an exotic one of another tool may come out in other bytes, and then
        // no client finds the way from this certificate to that CA.
        if facts.issuer != self.certificate.facts.subject {
            return Err(CertError::BadAuthority(
                "the name in ca.crt is too unusual to be copied; make a CA with `tidegate cert ca`"
                    .to_owned(),
            ));
        }
        Ok(Issued {
            certificate: certificate.pem(),
            key: Secret::new(key.serialize_pem().into_bytes()),
            serial: Serial::of(&facts),
            shortened: not_after < asked,
        })
    }

    /// Whether the number is that of the CA's own certificate, which it signed itself.
    pub(super) fn is_own(&self, serial: &Serial) -> bool {
        let facts = &self.certificate.facts;
        facts.self_issued() && facts.serial == serial.as_bytes()
    }

    /// All certificates of `ca.crt` as PEM, and nothing else that may be in it.
    pub(super) fn pem(&self) -> String {
        self.certificates().map(text).collect()
    }

    /// The certificates between the root and what this CA signs, as PEM: those of CAs below another one.
    pub(super) fn intermediates(&self) -> String {
        self.certificates().filter(|certificate| !certificate.facts.self_issued()).map(text).collect()
    }

    fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.certificate).chain(&self.chain)
    }
}

/// A key for tokens, and the certificate by which a registry knows it: of no CA, and signed by itself.
pub(in crate::cli) fn token_signer(rsa: bool, days: u16) -> Result<Issued, CertError> {
    let key = match rsa {
        true => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072)?,
        false => KeyPair::generate()?,
    };
    let mut params = CertificateParams::default();
    begin(&mut params, OffsetDateTime::now_utc() + Duration::days(days.into()), "tidegate token signer")?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    let certificate = params.self_signed(&key)?;
    Ok(Issued {
        certificate: certificate.pem(),
        key: Secret::new(key.serialize_pem().into_bytes()),
        serial: Serial::of(&read_back(certificate.der())?),
        shortened: false,
    })
}

fn begin(params: &mut CertificateParams, not_after: OffsetDateTime, name: &str) -> Result<(), CertError> {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(random_serial()?);
    // An hour back, for clients whose clock is behind.
    params.not_before = OffsetDateTime::now_utc() - Duration::HOUR;
    params.not_after = not_after;
    Ok(())
}

/// 128 random bits: positive as RFC 5280 section 4.1.2.2 wants it, and shorter than its 20 octets.
fn random_serial() -> Result<SerialNumber, CertError> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| CertError::Crypto("the system gives no random numbers".to_owned()))?;
    Ok(SerialNumber::from_slice(&bytes))
}

fn read_back(certificate: &CertificateDer<'_>) -> Result<Facts, CertError> {
    Facts::read(certificate).ok_or_else(|| CertError::Crypto("it cannot be read again".to_owned()))
}

fn text(certificate: &Certificate) -> String {
    pem::encode("CERTIFICATE", &certificate.der)
}

fn unusable(directory: &Path, problems: &Problems) -> CertError {
    if problems.0.len() > 1 && problems.0.iter().all(|problem| problem.missing) {
        return CertError::NoAuthority(directory.display().to_string());
    }
    CertError::BadAuthority(problems.to_string())
}
