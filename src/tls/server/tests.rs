use std::cell::RefCell;

use rcgen::KeyPair;
use rustls::client::Resumption;
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, ClientConfig, Error, HandshakeKind, RootCertStore};
use time::OffsetDateTime;

use super::*;
use crate::config::{CertificateFiles, Tls};
use crate::crypto::fixtures::shake_hands;
use crate::pki::fixtures::{Folder, Signer, params, set_mode};
use crate::tls::fixtures::{server, settings};

/// A server for a.test and 127.0.0.1, and clients that trust it.
struct Fixture {
    tls: Tls,
    /// The configuration whose keys the next server takes over.
    running: RefCell<Option<ServerTls>>,
    roots: RootCertStore,
    _folder: Folder,
}

impl Fixture {
    fn new() -> Self {
        let folder = Folder::new();
        let ca = Signer::new("ca");
        let (certificate, key) = ca.server(&["a.test", "127.0.0.1"]);
        let mut roots = RootCertStore::empty();
        roots.add(ca.certificate.der().clone()).unwrap();
        let tls = settings(vec![folder.pair("a", &certificate.pem(), &key)]);
        Self { tls, running: RefCell::default(), roots, _folder: folder }
    }

    fn server(&self) -> Arc<ServerConfig> {
        let mut running = self.running.borrow_mut();
        let server = server(&self.tls, &[], running.as_ref()).unwrap();
        running.insert(server).config.clone()
    }

    fn client(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&[u8]]) -> ClientConfig {
        let mut client =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_root_certificates(self.roots.clone())
                .with_no_client_auth();
        client.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        client
    }
}

fn sentences(problems: &Problems) -> Vec<String> {
    problems.0.iter().map(ToString::to_string).collect()
}

#[test]
fn a_client_accepts_the_server_by_name_and_address_and_no_other() {
    let fixture = Fixture::new();
    let client = Arc::new(fixture.client(&[&TLS13, &TLS12], &[]));
    for name in ["a.test", "127.0.0.1"] {
        assert!(shake_hands(&client, &fixture.server(), name).is_ok(), "{name}");
    }
    let refused = shake_hands(&client, &fixture.server(), "b.test");
    assert!(matches!(refused, Err(Error::InvalidCertificate(_))));
}

#[test]
fn aes_128_is_chosen_whatever_the_client_prefers() {
    let fixture = Fixture::new();
    for (version, suite) in [
        (&TLS13, CipherSuite::TLS13_AES_128_GCM_SHA256),
        (&TLS12, CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ] {
        let client = Arc::new(fixture.client(&[version], &[]));
        let (client, _) = shake_hands(&client, &fixture.server(), "a.test").unwrap();
        assert_eq!(client.negotiated_cipher_suite().unwrap().suite(), suite);
    }
}

#[test]
fn min_version_shuts_out_older_clients() {
    let mut fixture = Fixture::new();
    fixture.tls.min_version = TlsVersion::Tls13;
    let old = Arc::new(fixture.client(&[&TLS12], &[]));
    assert!(shake_hands(&old, &fixture.server(), "a.test").is_err());
    let new = Arc::new(fixture.client(&[&TLS13], &[]));
    assert!(shake_hands(&new, &fixture.server(), "a.test").is_ok());
}

#[test]
fn alpn_takes_the_servers_choice_none_and_no_stranger() {
    let fixture = Fixture::new();
    for (offered, chosen) in
        [(&[&b"http/1.1"[..], b"h2"][..], Some(&b"h2"[..])), (&[b"http/1.1"], Some(b"http/1.1")), (&[], None)]
    {
        let client = Arc::new(fixture.client(&[&TLS13], offered));
        let (_, server) = shake_hands(&client, &fixture.server(), "a.test").unwrap();
        assert_eq!(server.alpn_protocol(), chosen);
    }
    let stranger = Arc::new(fixture.client(&[&TLS13], &[b"acme-tls/1"]));
    let refused = shake_hands(&stranger, &fixture.server(), "a.test").unwrap_err();
    assert_eq!(refused, Error::NoApplicationProtocol);
}

#[test]
fn clients_resume_across_a_reload_but_not_across_ticket_keys() {
    let fixture = Fixture::new();
    for version in [&TLS13, &TLS12] {
        let mut client = fixture.client(&[version], &[]);
        client.resumption = Resumption::in_memory_sessions(8);
        let client = Arc::new(client);
        let (_, first) = shake_hands(&client, &fixture.server(), "a.test").unwrap();
        assert_eq!(first.handshake_kind(), Some(HandshakeKind::Full));
        let (_, second) = shake_hands(&client, &fixture.server(), "a.test").unwrap();
        assert_eq!(second.handshake_kind(), Some(HandshakeKind::Resumed));
        fixture.running.take();
        let (_, third) = shake_hands(&client, &fixture.server(), "a.test").unwrap();
        assert_eq!(third.handshake_kind(), Some(HandshakeKind::Full));
    }
}

#[test]
fn no_early_data_no_cache_one_ticket() {
    let config = Fixture::new().server();
    assert_eq!(config.max_early_data_size, 0);
    assert!(!config.session_storage.can_cache());
    assert_eq!(config.send_tls13_tickets, 1);
}

#[test]
fn the_name_a_client_asks_for_chooses_among_the_files() {
    let mut fixture = Fixture::new();
    let folder = Folder::new();
    let ca = Signer::new("second ca");
    let (certificate, key) = ca.server(&["b.test"]);
    fixture.roots.add(ca.certificate.der().clone()).unwrap();
    fixture.tls.certificates.push(folder.pair("b", &certificate.pem(), &key));
    let client = Arc::new(fixture.client(&[&TLS13], &[]));
    for name in ["a.test", "b.test", "127.0.0.1"] {
        assert!(shake_hands(&client, &fixture.server(), name).is_ok(), "{name}");
    }
}

#[test]
fn every_fault_of_every_file_is_reported_at_once() {
    let folder = Folder::new();
    let ca = Signer::new("ca");
    let mut expired = params(&["a.test"]);
    expired.not_after = OffsetDateTime::now_utc() - time::Duration::hours(3);
    let key = KeyPair::generate().unwrap();
    let first = folder.pair("a", &ca.sign(&expired, &key).pem(), &key);
    set_mode(&first.key, 0o604);
    let second = CertificateFiles { certificate: folder.path("b.crt"), key: folder.write("b.key", "") };
    let problems = server(&settings(vec![first, second]), &[], None);
    let problems = problems.err().unwrap();
    let told = sentences(&problems);
    let expected = [
        ("a.key", "is a private key that every user"),
        ("a.crt", "the certificate expired on"),
        ("b.crt", "there is no such file"),
        ("b.key", "is empty"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:?}");
    for (sentence, (file, message)) in told.iter().zip(expected) {
        let beginning = format!("{}: {message}", folder.path(file).display());
        assert!(sentence.starts_with(&beginning), "{sentence}");
    }
}

#[test]
fn no_certificate_at_all_is_an_error() {
    let problems = server(&settings(Vec::new()), &[], None);
    let problems = problems.err().unwrap();
    assert_eq!(sentences(&problems), ["tls: names no certificate; set tls.certificate and tls.key"]);
}

#[test]
fn warnings_come_with_the_configuration() {
    let folder = Folder::new();
    let ca = Signer::new("ca");
    let (certificate, key) = ca.server(&["a.test"]);
    let first = folder.pair("a", &certificate.pem(), &key);
    let mut soon = params(&["b.test"]);
    soon.not_after = OffsetDateTime::now_utc() + time::Duration::days(3);
    let second = folder.pair("b", &ca.sign(&soon, &key).pem(), &key);
    let names = ["a.test", "c.test"].map(str::to_owned);
    let made = server(&settings(vec![first, second]), &names, None).unwrap();
    let places: Vec<_> = made.warnings.iter().map(|warning| warning.place.clone()).collect();
    assert_eq!(places, [folder.path("b.crt").display().to_string(), "server.names".to_owned()]);
}
