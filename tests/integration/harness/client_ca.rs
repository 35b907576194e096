//! Client certificates, good and bad, each as `NAME.crt` and `NAME.key` in a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertificateRevocationListParams, DnType,
    ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams,
    SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// The CA of the clients. Its certificate is `clients.crt` in the folder, its CRL `clients.crl`.
pub struct ClientCa {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl ClientCa {
    pub fn new(folder: &Path) -> ClientCa {
        let key = KeyPair::generate().unwrap();
        let params = ca_params("the clients' CA");
        fs::write(folder.join("clients.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
        let ca = ClientCa { folder: folder.to_owned(), issuer: Issuer::new(params, key) };
        ca.revoke(&[]);
        ca
    }

    /// Issues a valid certificate after applying `change`. `name` is the common name and the file
    /// name.
    pub fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Certificate {
        let mut params = client_params(name);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        self.write(name, &certificate.pem(), &key);
        certificate
    }

    /// Issues a certificate for an existing key of any kind.
    pub fn issue_for(&self, name: &str, key: &KeyPair) {
        let certificate = client_params(name).signed_by(key, &self.issuer).unwrap();
        self.write(name, &certificate.pem(), key);
    }

    /// Issues a certificate from an intermediate CA, whose certificate follows in the same file.
    pub fn issue_below(&self, name: &str) {
        let (key, params) = (KeyPair::generate().unwrap(), ca_params("below"));
        let intermediate = params.signed_by(&key, &self.issuer).unwrap();
        let below = Issuer::new(params, key);
        let key = KeyPair::generate().unwrap();
        let certificate = client_params(name).signed_by(&key, &below).unwrap();
        self.write(name, &(certificate.pem() + &intermediate.pem()), &key);
    }

    /// Makes a self-signed certificate.
    pub fn self_signed(&self, name: &str) {
        let key = KeyPair::generate().unwrap();
        let certificate = client_params(name).self_signed(&key).unwrap();
        self.write(name, &certificate.pem(), &key);
    }

    /// Replaces the CRL by one with these serial numbers.
    pub fn revoke(&self, serials: &[u64]) {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: OffsetDateTime::now_utc(),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: OffsetDateTime::now_utc() - Duration::HOUR,
            next_update: OffsetDateTime::now_utc() + Duration::days(30),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let new = self.folder.join("clients.crl.new");
        fs::write(&new, list.signed_by(&self.issuer).unwrap().pem().unwrap()).unwrap();
        fs::rename(new, self.folder.join("clients.crl")).unwrap();
    }

    pub fn file(&self, name: &str) -> String {
        self.folder.join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, certificate: &str, key: &KeyPair) {
        fs::write(self.folder.join(format!("{name}.crt")), certificate).unwrap();
        let file = self.folder.join(format!("{name}.key"));
        fs::write(&file, key.serialize_pem()).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
    }
}

fn client_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = Default::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc() - Duration::HOUR;
    params.not_after = OffsetDateTime::now_utc() + Duration::days(30);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = client_params(name);
    params.extended_key_usages.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}
