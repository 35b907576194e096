//! Which certificate and which TLS version a client gets.

use std::sync::Arc;

use rcgen::KeyPair;
use rustls::pki_types::ServerName;

use crate::harness::authority::common_name;
use crate::harness::openssl::talk;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::tools::succeed;

/// The common name of the certificate for `name`.
fn shown(tidegate: &Tidegate, name: &str) -> String {
    let config = tidegate.settings.authority.client(&["h2"]);
    let mut socket = std::net::TcpStream::connect(tidegate.address).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = rustls::ClientConnection::new(config, name).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).unwrap();
    }
    common_name(&connection.peer_certificates().unwrap()[0])
}

#[test]
fn the_requested_name_selects_the_certificate_and_the_first_is_the_default() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    settings.authority.issue_for("a", &["localhost", "a.example"]).write(settings.path(), "a");
    settings.authority.issue_for("b", &["b.example", "*.b.example"]).write(settings.path(), "b");
    let pair = |name: &str| format!(r#"{{ certificate = "{name}.crt", key = "{name}.key" }}"#);
    let settings = settings
        .unset("tls.certificate")
        .unset("tls.key")
        .set("tls.certificates", &format!("[{}, {}]", pair("a"), pair("b")));
    let tidegate = Tidegate::start(settings);
    for (asked, expected) in
        [("a.example", "a"), ("b.example", "b"), ("x.b.example", "b"), ("localhost", "a")]
    {
        assert_eq!(shown(&tidegate, asked), expected, "{asked}");
    }
    assert_eq!(shown(&tidegate, "B.Example"), "b");
}

#[test]
fn the_minimum_version_is_enforced() {
    let recorder = Recorder::start();
    for (least, old_is_served) in [("1.2", true), ("1.3", false)] {
        let settings = Settings::for_upstream(&recorder.url()).set("tls.min_version", &format!("{least:?}"));
        let tidegate = Tidegate::start(settings);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(tidegate.settings.authority.der().clone()).unwrap();
        let old = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        assert_eq!(Tls::connect_with(tidegate.address, Arc::new(old)).is_ok(), old_is_served, "{least}");
    }
}

#[test]
fn keys_of_every_usual_kind_are_accepted() {
    let recorder = Recorder::start();
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_ED25519] {
        let settings = Settings::for_upstream(&recorder.url());
        let key = KeyPair::generate_for(kind).unwrap();
        settings.authority.sign(&key, "any", &["localhost"]).write(settings.path(), "server");
        let tidegate = Tidegate::start(settings);
        assert_eq!(shown(&tidegate, "localhost"), "any");
    }
    // openssl's formats: PKCS#1, and SEC1 with a parameters block before the key.
    for command in ["genrsa -traditional 2048", "ecparam -name prime256v1 -genkey"] {
        let settings = Settings::for_upstream(&recorder.url());
        let arguments: Vec<&str> = command.split(' ').collect();
        let pem = crate::harness::tools::succeed("openssl", &arguments);
        let key = KeyPair::from_pem(&pkcs8(&pem, settings.path())).unwrap();
        let mut identity = settings.authority.sign(&key, "openssl", &["localhost"]);
        identity.key = pem;
        identity.write(settings.path(), "server");
        let tidegate = Tidegate::start(settings);
        assert_eq!(shown(&tidegate, "localhost"), "openssl", "{command}");
    }
}

/// The kind of key in the certificate that `openssl s_client` receives.
fn kind(tidegate: &Tidegate, options: &str) -> &'static str {
    let said = talk(tidegate, &options.split(' ').collect::<Vec<_>>());
    match (said.contains("a:PKEY: rsaEncryption"), said.contains("a:PKEY: id-ecPublicKey")) {
        (true, false) => "RSA",
        (false, true) => "ECDSA",
        _ => panic!("{said}"),
    }
}

#[test]
fn of_two_keys_for_one_name_a_client_gets_the_one_it_can_verify() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    let rsa = KeyPair::from_pem(&succeed("openssl", &["genpkey", "-algorithm", "RSA"])).unwrap();
    settings.authority.sign(&rsa, "rsa", &["localhost"]).write(settings.path(), "rsa");
    let pair = |name: &str| format!(r#"{{ certificate = "{name}.crt", key = "{name}.key" }}"#);
    let pairs = format!("[{}, {}]", pair("rsa"), pair("server"));
    let settings = settings.unset("tls.certificate").unset("tls.key").set("tls.certificates", &pairs);
    let tidegate = Tidegate::start(settings);
    for (options, expected) in [
        ("-tls1_3", "ECDSA"),
        ("-tls1_3 -sigalgs ECDSA+SHA256", "ECDSA"),
        ("-tls1_3 -sigalgs RSA-PSS+SHA256", "RSA"),
        ("-tls1_3 -sigalgs RSA-PSS+SHA256:RSA+SHA256:ECDSA+SHA256", "ECDSA"),
        ("-tls1_2", "ECDSA"),
        ("-tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA"),
        ("-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", "RSA"),
        ("-tls1_2 -cipher ECDHE-RSA-AES256-GCM-SHA384 -sigalgs ECDSA+SHA256:RSA-PSS+SHA256", "RSA"),
        ("-tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256 -sigalgs ECDSA+SHA256:RSA+SHA256", "RSA"),
    ] {
        assert_eq!(kind(&tidegate, options), expected, "{options}");
    }
}

/// The same key in the only format that the test's own library reads.
fn pkcs8(pem: &str, folder: &std::path::Path) -> String {
    let file = folder.join("any.key");
    std::fs::write(&file, pem).unwrap();
    crate::harness::tools::succeed("openssl", &["pkcs8", "-topk8", "-nocrypt", "-in", file.to_str().unwrap()])
}
