//! Generated certificates and keys for tests.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, CrlDistributionPoint,
    CrlIssuingDistributionPoint, CrlScope, CustomExtension, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PKCS_RSA_SHA256, RevokedCertParams, SerialNumber,
};
use tempfile::TempDir;
use time::{Duration, OffsetDateTime};

use super::pem;
use crate::config::CertificateFiles;

/// A temporary directory.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that only its owner may read.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        set_mode(&path, 0o600);
        path
    }

    /// Writes a certificate file and a key file.
    pub(crate) fn pair(&self, name: &str, certificate: &str, key: &KeyPair) -> CertificateFiles {
        CertificateFiles {
            certificate: self.write(&format!("{name}.crt"), certificate),
            key: self.write(&format!("{name}.key"), key.serialize_pem()),
        }
    }
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A CA for tests.
pub(crate) struct Signer {
    pub(crate) certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Signer {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = ca_params(name);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// Issues an intermediate CA.
    pub(crate) fn intermediate(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = ca_params(name);
        let certificate = self.sign(&params, &key);
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    pub(crate) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Certificate {
        params.signed_by(key, &self.issuer).unwrap()
    }

    /// Issues a CRL of `serials` that is valid until `next_update`.
    pub(crate) fn revoke(&self, serials: &[&[u8]], next_update: OffsetDateTime) -> String {
        self.list(serials, next_update, None)
    }

    /// Issues an empty CRL that covers only the certificates in `scope`.
    pub(crate) fn revoke_scoped(&self, scope: CrlScope) -> String {
        let distribution_point = CrlDistributionPoint { uris: vec!["http://ca.test/some.crl".to_owned()] };
        let point = CrlIssuingDistributionPoint { distribution_point, scope: Some(scope) };
        self.list(&[], OffsetDateTime::now_utc() + Duration::DAY, Some(point))
    }

    fn list(
        &self,
        serials: &[&[u8]],
        next_update: OffsetDateTime,
        issuing_distribution_point: Option<CrlIssuingDistributionPoint>,
    ) -> String {
        let revoked = |serial: &&[u8]| RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: OffsetDateTime::now_utc(),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: OffsetDateTime::now_utc() - Duration::DAY,
            next_update,
            crl_number: SerialNumber::from(1),
            issuing_distribution_point,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    /// Issues a server certificate with a P-256 key.
    pub(crate) fn server(&self, names: &[&str]) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        (self.sign(&params(names), &key), key)
    }

    /// Issues a server certificate with an RSA key.
    pub(crate) fn rsa_server(&self, names: &[&str]) -> (Certificate, KeyPair) {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        (self.sign(&params(names), &key), key)
    }
}

/// Parameters of a server certificate that is valid from yesterday for a year.
pub(crate) fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names.clone()).unwrap();
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("nameless", String::as_str));
    params.not_before = OffsetDateTime::now_utc() - Duration::DAY;
    params.not_after = OffsetDateTime::now_utc() + Duration::days(365);
    params
}

pub(crate) fn ca_params(name: &str) -> CertificateParams {
    let mut params = params(&[]);
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Authority information access that names the issuer's certificate at `http://ca.test`.
pub(crate) fn issuer_url() -> CustomExtension {
    let url = b"http://ca.test";
    let mut description = vec![0x06, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 2, 0x86, url.len() as u8];
    description.extend(url);
    let mut content = vec![0x30, description.len() as u8 + 2, 0x30, description.len() as u8];
    content.extend(description);
    CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], content)
}

/// Encodes the key in the format inside PKCS#8: SEC1 for ECDSA, PKCS#1 for RSA.
pub(crate) fn traditional(key: &KeyPair, label: &str) -> String {
    let der = key.serialize_der();
    let (_, outer) = element(&der);
    let (version, _) = element(outer);
    let (algorithm, _) = element(&outer[version..]);
    let (_, inner) = element(&outer[version + algorithm..]);
    pem::encode(label, inner)
}

/// Encodes a DER element of less than 64 KiB.
pub(crate) fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let length = match content.len() {
        length @ 0..0x80 => vec![length as u8],
        length @ 0x80..0x100 => vec![0x81, length as u8],
        length => [&[0x82], &(length as u16).to_be_bytes()[..]].concat(),
    };
    [&[tag], length.as_slice(), &content].concat()
}

/// Returns the length and the content of the first DER element.
fn element(der: &[u8]) -> (usize, &[u8]) {
    let (header, length) = match der[1] {
        short @ 0..0x80 => (2, usize::from(short)),
        long => {
            let octets = usize::from(long & 0x7f);
            (2 + octets, der[2..2 + octets].iter().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
        }
    };
    (header + length, &der[header..header + length])
}
