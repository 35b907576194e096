use std::net::Ipv6Addr;

use proptest::prelude::*;
use rcgen::{CustomExtension, DnType, ExtendedKeyUsagePurpose, KeyPair, SanType};

use super::*;
use crate::pki::fixtures::{Signer, ca_params, issuer_url, params};

#[test]
fn reads_names_dates_and_issuer() {
    let ca = Signer::new("test ca");
    let mut asked = params(&["Registry.Example.com", "*.example.com", "10.0.0.5"]);
    asked.subject_alt_names.push(SanType::IpAddress(Ipv6Addr::LOCALHOST.into()));
    let facts = Facts::read(ca.sign(&asked, &KeyPair::generate().unwrap()).der()).unwrap();
    assert_eq!(facts.dns_names, ["registry.example.com", "*.example.com"]);
    assert_eq!(facts.addresses, ["10.0.0.5".parse::<IpAddr>().unwrap(), Ipv6Addr::LOCALHOST.into()]);
    assert_eq!(facts.not_after.unix_timestamp(), asked.not_after.unix_timestamp());
    assert_eq!(facts.issuer, Facts::read(ca.certificate.der()).unwrap().subject);
    assert_eq!(facts.label, "Registry.Example.com");
    assert!(facts.version_3 && facts.for_servers && !facts.ca && !facts.self_issued() && !facts.looks_public);
}

#[test]
fn tells_a_ca() {
    let facts = Facts::read(Signer::new("test ca").certificate.der()).unwrap();
    assert!(facts.ca && facts.may_sign && facts.self_issued());
}

#[test]
fn reads_purpose_and_issuer_url() {
    let mut asked = params(&["a.test"]);
    asked.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    asked.custom_extensions.push(issuer_url());
    let facts = Facts::read(Signer::new("ca").sign(&asked, &KeyPair::generate().unwrap()).der()).unwrap();
    assert!(!facts.for_servers && facts.looks_public);
}

#[test]
fn takes_proofs_of_certificate_transparency_for_a_public_cas() {
    let mut asked = params(&["a.test"]);
    // One SCT of version 1, without the log's signature.
    let sct = [&[0][..], &[5; 32], &[0; 8], &[0, 0], &[4, 3, 0, 0]].concat();
    let length = sct.len() as u8;
    let content = [&[4, length + 4, 0, length + 2, 0, length][..], &sct].concat();
    asked.custom_extensions.push(CustomExtension::from_oid_content(SCT_LIST, content));
    let facts = Facts::read(Signer::new("ca").sign(&asked, &KeyPair::generate().unwrap()).der()).unwrap();
    assert!(facts.looks_public);
}

/// RFC 6962, section 3.3.
const SCT_LIST: &[u64] = &[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2];

#[test]
fn knows_the_hashes_that_are_broken() {
    assert_eq!(broken_hash(&oid!(raw 1.2.840.113549.1.1.5)), Some("SHA-1"));
    assert_eq!(broken_hash(&oid!(raw 1.2.840.113549.1.1.11)), None);
}

#[test]
fn a_name_cannot_write_control_characters_into_a_log() {
    let mut asked = ca_params("");
    asked.distinguished_name = Default::default();
    asked.distinguished_name.push(DnType::CommonName, "a\n\u{1b}[31mb");
    let certificate = asked.self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert_eq!(Facts::read(certificate.der()).unwrap().label, "a\u{fffd}\u{fffd}[31mb");
}

#[test]
fn covers_exact_names_one_wildcard_label_and_addresses() {
    let (certificate, _) = Signer::new("ca").server(&["a.test", "*.b.test", "10.0.0.5", "::1"]);
    let facts = Facts::read(certificate.der()).unwrap();
    for name in ["a.test", "x.b.test", "10.0.0.5", "::1", "[::1]", "[0:0::1]", "::ffff:10.0.0.5"] {
        assert!(facts.covers(name), "{name}");
    }
    for name in ["b.test", "x.y.b.test", "x.a.test", "10.0.0.6", "test"] {
        assert!(!facts.covers(name), "{name}");
    }
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes: Vec<u8>) {
        prop_assert!(Facts::read(&CertificateDer::from(bytes)).is_none());
    }
}

#[test]
fn the_key_is_found_without_reading_the_extensions() {
    for ca in [Signer::new("ca"), Signer::new("ca").intermediate("below")] {
        let der = ca.certificate.der();
        assert_eq!(public_key(der), Facts::read(der).as_ref().map(|facts| facts.public_key.as_slice()));
        for end in 0..der.len() {
            assert_eq!(public_key(&der[..end].into()), None, "cut at {end}");
        }
    }
}
