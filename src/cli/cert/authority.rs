//! A CA: its certificate and the key that signs others (RFC 5280).

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::error::CertError;
use super::issued::{Issued, fill_in, read_back};
use super::serial::Serial;
use crate::config::CertificateFiles;
use crate::pki::pair::{self, Certificate};
use crate::pki::pem;
use crate::problem::{Problem, Problems};

/// The files of a CA in its directory.
pub(super) const CERTIFICATE: &str = "ca.crt";
pub(super) const KEY: &str = "ca.key";
pub(super) const REVOCATION_LIST: &str = "ca.crl";

/// A CA with its key.
pub(super) struct Authority {
    pub(super) certificate: Certificate,
    /// The rest of `ca.crt`: for an intermediate CA, the path to the root.
    chain: Vec<Certificate>,
    pub(super) issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// A new self-signed CA with a P-256 key. It can sign certificates of servers and clients, but
    /// no further CA.
    pub(super) fn make(name: &str, days: u16) -> Result<(Self, Issued), CertError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        fill_in(&mut params, OffsetDateTime::now_utc() + Duration::days(days.into()), name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key)?;
        let facts = read_back(certificate.der())?;
        let issued = Issued::new(&certificate, &key, &facts);
        let certificate = Certificate { der: certificate.der().clone(), facts };
        Ok((Self { certificate, chain: Vec::new(), issuer: Issuer::new(params, key) }, issued))
    }

    /// Reads `ca.crt` and `ca.key` in `directory`, made by tidegate or another tool.
    pub(super) fn read(directory: &Path) -> Result<Self, CertError> {
        if directory.is_file() {
            let message = "is a file; --ca names the folder that holds ca.crt and ca.key";
            return Err(CertError::BadAuthority(Problem::at(directory, message).to_string()));
        }
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

    /// A new certificate with a new P-256 key, valid for `days` but not longer than the CA.
    /// `params` hold the names and purposes; the rest is set here.
    pub(super) fn issue(
        &self,
        mut params: CertificateParams,
        common_name: &str,
        days: u16,
    ) -> Result<Issued, CertError> {
        let asked = OffsetDateTime::now_utc() + Duration::days(days.into());
        let not_after = asked.min(self.certificate.facts.not_after);
        fill_in(&mut params, not_after, common_name)?;
        // Says CA:FALSE, and adds the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let facts = read_back(certificate.der())?;
        // rcgen writes the CA's name anew. An unusual name can come out in other bytes, and then
        // no client finds the path from this certificate to the CA.
        if facts.issuer != self.certificate.facts.subject {
            return Err(CertError::BadAuthority(
                "the name in ca.crt is too unusual to be copied; make a CA with `tidegate cert ca`"
                    .to_owned(),
            ));
        }
        Ok(Issued { shortened: not_after < asked, ..Issued::new(&certificate, &key, &facts) })
    }

    /// Whether the number is that of the CA's own, self-signed certificate.
    pub(super) fn is_own(&self, serial: &Serial) -> bool {
        let facts = &self.certificate.facts;
        facts.self_issued() && facts.serial == serial.as_bytes()
    }

    /// All certificates of `ca.crt` as PEM, without anything else that the file may hold.
    pub(super) fn pem(&self) -> String {
        self.certificates().map(text).collect()
    }

    /// The certificates between the root and those that this CA signs, as PEM. Empty for a root.
    pub(super) fn intermediates(&self) -> String {
        self.certificates().filter(|certificate| !certificate.facts.self_issued()).map(text).collect()
    }

    fn certificates(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.certificate).chain(&self.chain)
    }
}

fn text(certificate: &Certificate) -> String {
    pem::encode("CERTIFICATE", &certificate.der)
}

fn unusable(directory: &Path, problems: &Problems) -> CertError {
    if problems.0.len() > 1 && problems.0.iter().all(|problem| problem.missing) {
        return CertError::NoAuthority(directory.to_owned());
    }
    CertError::BadAuthority(problems.to_string())
}
