use proptest::prelude::*;
use rcgen::{KeyPair, PKCS_RSA_SHA256};
use rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::pki::fixtures::{Signer, traditional};

const GARBLED: &str = "-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n";

#[test]
fn reads_the_chain_in_order_and_skips_what_stands_between() {
    let ca = Signer::new("ca");
    let (leaf, key) = ca.server(&["a.test"]);
    let text = format!(
        "\u{feff}{}subject=CN = ca\r\n\r\n{}\n{}",
        leaf.pem().replace('\n', "\r\n"),
        key.serialize_pem(),
        ca.certificate.pem()
    );
    assert_eq!(certificates(text.as_bytes()).unwrap(), [leaf.der().clone(), ca.certificate.der().clone()]);
}

#[test]
fn reads_each_form_of_key() {
    let ecdsa = KeyPair::generate().unwrap();
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
    // `openssl ecparam -genkey` writes the curve before the key.
    let sec1 = format!(
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n{}",
        traditional(&ecdsa, "EC PRIVATE KEY")
    );
    assert!(matches!(private_key(ecdsa.serialize_pem().as_bytes()), Ok(PrivateKeyDer::Pkcs8(_))));
    assert!(matches!(private_key(sec1.as_bytes()), Ok(PrivateKeyDer::Sec1(_))));
    let pkcs1 = traditional(&rsa, "RSA PRIVATE KEY");
    assert!(matches!(private_key(pkcs1.as_bytes()), Ok(PrivateKeyDer::Pkcs1(_))));
}

#[test]
fn names_what_is_wrong_with_a_certificate_file() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let pem = Signer::new("ca").certificate.pem();
    let der = Signer::new("ca").certificate.der().to_vec();
    let cut = &pem[..pem.len() / 2];
    let request = "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n";
    for (text, error) in [
        (&b" \n"[..], PemError::Empty),
        (&der, PemError::NotPem),
        (b"hello", PemError::NotPem),
        (cut.as_bytes(), PemError::Damaged),
        (GARBLED.as_bytes(), PemError::Damaged),
        (key.as_bytes(), PemError::KeyForCertificate),
        (request.as_bytes(), PemError::NoCertificate),
    ] {
        assert_eq!(certificates(text), Err(error));
    }
}

#[test]
fn names_what_is_wrong_with_a_key_file() {
    let key = KeyPair::generate().unwrap().serialize_pem();
    let pem = Signer::new("ca").certificate.pem();
    let pkcs8 = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let openssl = "-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\nDEK-Info: AES-256-CBC,00\r\n\r\n\
                   AAAA\r\n-----END RSA PRIVATE KEY-----\r\n";
    let openssh = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n";
    for (text, error) in [
        ("", PemError::Empty),
        ("secret", PemError::NotPem),
        (pem.as_str(), PemError::CertificateForKey),
        (openssh, PemError::NoKey),
        (pkcs8, PemError::EncryptedKey),
        (openssl, PemError::EncryptedKey),
        (&format!("{key}{pem}{key}"), PemError::SeveralKeys(2)),
    ] {
        assert_eq!(private_key(text.as_bytes()).unwrap_err(), error, "{text}");
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_no_harm(text: Vec<u8>) {
        _ = certificates(&text);
        _ = private_key(&text);
    }

    #[test]
    fn damage_anywhere_does_no_harm(at in 0usize..400, byte: u8) {
        let mut text = b"x\n-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".repeat(7);
        text[at] = byte;
        _ = certificates(&text);
    }
}
