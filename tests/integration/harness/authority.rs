//! A private certificate authority for one test.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A server certificate and its key, both PEM.
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "tidegate test authority");
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Authority { issuer: Issuer::new(params, key), pem, der }
    }

    /// A certificate for localhost and 127.0.0.1. Its common name distinguishes it from others.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_for(name, &["localhost", "127.0.0.1"])
    }

    pub fn issue_dated(&self, name: &str, from: OffsetDateTime, until: OffsetDateTime) -> Identity {
        let key = KeyPair::generate().unwrap();
        self.sign_dated(&key, name, &["localhost", "127.0.0.1"], from, until)
    }

    /// A certificate for other host names.
    pub fn issue_for(&self, name: &str, hosts: &[&str]) -> Identity {
        self.sign(&KeyPair::generate().unwrap(), name, hosts)
    }

    /// A certificate for an existing key.
    pub fn sign(&self, key: &KeyPair, name: &str, hosts: &[&str]) -> Identity {
        let now = OffsetDateTime::now_utc();
        self.sign_dated(key, name, hosts, now - time::Duration::days(1), now + time::Duration::days(90))
    }

    fn sign_dated(
        &self,
        key: &KeyPair,
        name: &str,
        hosts: &[&str],
        from: OffsetDateTime,
        until: OffsetDateTime,
    ) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = from;
        params.not_after = until;
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Identity { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    pub fn key_pem(&self) -> String {
        self.issuer.key().serialize_pem()
    }

    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A client that trusts this authority and offers `protocols` by ALPN.
    pub fn client(&self, protocols: &[&str]) -> Arc<rustls::ClientConfig> {
        let mut config = self.trusting().with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    /// A client that presents the certificate in `stem`.crt, with the key in `stem`.key.
    pub fn client_showing(&self, stem: &str) -> Arc<rustls::ClientConfig> {
        let chain =
            CertificateDer::pem_file_iter(format!("{stem}.crt")).unwrap().map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(format!("{stem}.key")).unwrap();
        Arc::new(self.trusting().with_client_auth_cert(chain, key).unwrap())
    }

    fn trusting(&self) -> rustls::ConfigBuilder<rustls::ClientConfig, rustls::client::WantsClientCert> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
    }
}

impl Identity {
    /// The TLS of a server that has it.
    pub fn server(&self) -> Arc<rustls::ServerConfig> {
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).map(Result::unwrap);
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let server = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain.collect(), key);
        Arc::new(server.unwrap())
    }

    /// Writes `<stem>.crt` and `<stem>.key`, the key readable by its owner only.
    pub fn write(&self, folder: &Path, stem: &str) {
        write_private(&folder.join(format!("{stem}.key")), &self.key);
        fs::write(folder.join(format!("{stem}.crt")), &self.certificate).unwrap();
    }
}

fn write_private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The common name of the certificate that a server presented.
pub fn common_name(certificate: &CertificateDer<'_>) -> String {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).unwrap();
    parsed.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned()
}
