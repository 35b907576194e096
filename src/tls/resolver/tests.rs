use rcgen::{Certificate, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use time::Duration;

use super::*;
use crate::crypto::provider;
use crate::pki::fixtures::Signer;

const ECDSA: &[SignatureScheme] = &[SignatureScheme::ECDSA_NISTP256_SHA256];
const RSA: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
const BOTH: &[SignatureScheme] = &[SignatureScheme::RSA_PSS_SHA256, SignatureScheme::ECDSA_NISTP256_SHA256];

fn certificate((certificate, key): &(Certificate, KeyPair)) -> ServedCertificate {
    let der = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    ServedCertificate {
        secret: crate::pki::derived(&der),
        certified: CertifiedKey::from_der(vec![certificate.der().clone()], der, &provider()).unwrap(),
        facts: Facts::read(certificate.der()).unwrap(),
        staple: None,
    }
}

fn resolver(pairs: &[(Certificate, KeyPair)]) -> Resolver {
    Resolver::new(&pairs.iter().map(certificate).collect::<Vec<_>>())
}

/// The index of the pair in `pairs` that is chosen.
fn chosen(pairs: &[(Certificate, KeyPair)], name: Option<&str>, schemes: &[SignatureScheme]) -> usize {
    let resolver = resolver(pairs);
    let certified = &resolver.pick(name, schemes).unwrap().certified;
    pairs.iter().position(|(certificate, _)| certified.cert[0] == *certificate.der()).unwrap()
}

#[test]
fn the_name_chooses_exactly_then_by_wildcard_then_the_first() {
    let ca = Signer::new("ca");
    let pairs = [
        ca.server(&["first.test"]),
        ca.server(&["*.example.com", "z.test"]),
        ca.server(&["a.example.com", "example.com"]),
    ];
    for (name, expected) in [
        (Some("first.test"), 0),
        (Some("a.example.com"), 2),
        (Some("A.Example.COM"), 2),
        (Some("a.example.com."), 2),
        (Some("example.com"), 2),
        (Some("b.example.com"), 1),
        (Some("Z.test"), 1),
        (Some("a.b.example.com"), 0),
        (Some("*.example.com"), 1),
        (Some("unknown"), 0),
        (Some(""), 0),
        (None, 0),
    ] {
        assert_eq!(chosen(&pairs, name, ECDSA), expected, "{name:?}");
    }
}

#[test]
fn the_clients_signature_schemes_choose_among_keys_ecdsa_first() {
    let ca = Signer::new("ca");
    let pairs = [ca.rsa_server(&["a.test"]), ca.server(&["a.test"])];
    assert_eq!(chosen(&pairs, Some("a.test"), BOTH), 1);
    assert_eq!(chosen(&pairs, Some("a.test"), ECDSA), 1);
    assert_eq!(chosen(&pairs, Some("a.test"), RSA), 0);
    assert_eq!(chosen(&pairs, Some("a.test"), &[SignatureScheme::ED448]), 1);
}

#[test]
fn without_a_name_the_first_is_taken_unless_only_its_twin_suits() {
    let ca = Signer::new("ca");
    let pairs = [ca.rsa_server(&["a.test"]), ca.server(&["b.test"]), ca.server(&["a.test"])];
    assert_eq!(chosen(&pairs, None, BOTH), 0);
    assert_eq!(chosen(&pairs, None, ECDSA), 2);
}

#[test]
fn the_staple_is_shown_while_it_is_valid() {
    let now = OffsetDateTime::now_utc();
    let staple = Staple { der: vec![7], valid: now - Duration::HOUR..now + Duration::HOUR };
    let pair = Signer::new("ca").server(&["a.test"]);
    let resolver = Resolver::new(&[ServedCertificate { staple: Some(staple), ..certificate(&pair) }]);
    let entry = resolver.pick(Some("a.test"), ECDSA).unwrap();
    assert_eq!(entry.at(now).ocsp.as_deref(), Some(&[7][..]));
    assert_eq!(entry.at(now + Duration::HOUR).ocsp, None);
    assert_eq!(entry.at(now).cert, entry.at(now + Duration::HOUR).cert);
}

#[test]
fn without_certificates_there_is_none() {
    assert!(resolver(&[]).pick(Some("a.test"), ECDSA).is_none());
}
