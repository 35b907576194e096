use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::pki::fixtures::{Folder, der};

const SERIAL: [u8; 2] = [0x12, 0x34];
const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

const GOOD: [u8; 2] = [0x80, 0];
const UNKNOWN: [u8; 2] = [0x82, 0];

/// The CA's response for one certificate, valid from the first of March.
fn single(serial: [u8; 2], status: &[u8], next_update: Option<&str>) -> Vec<u8> {
    let next_update = next_update.map(|next| der(0xa0, &[&time(next)])).unwrap_or_default();
    let id = der(0x30, &[SHA_1, &der(4, &[&[1; 20]]), &der(4, &[&[2; 20]]), &der(2, &[&serial])]);
    der(0x30, &[&id, status, &time("20260301000000Z"), &next_update])
}

fn good(serial: [u8; 2]) -> Vec<u8> {
    single(serial, &GOOD, Some("20260302000000Z"))
}

const SHA_1: &[u8] = &[0x30, 7, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a];
const ECDSA_SHA_256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];
const BASIC: &[u8] = &[6, 9, 0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];

fn time(text: &str) -> Vec<u8> {
    der(0x18, &[text.as_bytes()])
}

fn response(responses: &[Vec<u8>]) -> Vec<u8> {
    response_with(responses, &der(0xa2, &[&der(4, &[&[2; 20]])]), &[], &[])
}

/// A response with this responder, and more behind its data and behind its signature.
fn response_with(responses: &[Vec<u8>], responder: &[u8], data_end: &[u8], end: &[u8]) -> Vec<u8> {
    let list = der(0x30, &[&responses.concat()]);
    let data = der(0x30, &[responder, &time("20260301120000Z"), &list, data_end]);
    let basic = der(0x30, &[&data, ECDSA_SHA_256, &der(3, &[&[0; 65]]), end]);
    let bytes = der(0x30, &[BASIC, &der(4, &[&basic])]);
    der(0x30, &[&[0x0a, 1, 0], &der(0xa0, &[&bytes])])
}

fn refused(der: Vec<u8>, beginning: &str) {
    let reason = Staple::parse(der, &SERIAL, NOW).unwrap_err();
    assert!(reason.starts_with(beginning), "{reason}");
}

#[test]
fn a_good_response_is_valid_until_the_next_is_due() {
    let der = response(&[good([1, 1]), good(SERIAL)]);
    let staple = Staple::parse(der.clone(), &SERIAL, NOW).unwrap();
    assert_eq!(staple.der, der);
    assert!(!staple.is_valid(datetime!(2026-02-28 23:59:59 UTC)));
    assert!(staple.is_valid(datetime!(2026-03-01 00:00 UTC)));
    assert!(staple.is_valid(datetime!(2026-03-01 23:59:59 UTC)));
    assert!(!staple.is_valid(datetime!(2026-03-02 00:00 UTC)));
}

#[test]
fn what_is_of_no_use_is_reported() {
    refused(response(&[good([1, 1])]), "is about another certificate");
    refused(response(&[]), "is about another certificate");
    // A RevokedInfo with only its time.
    let revoked = der(0xa1, &[&time("20260228000000Z")]);
    refused(response(&[single(SERIAL, &revoked, None)]), "says that the certificate has been revoked");
    refused(response(&[single(SERIAL, &UNKNOWN, None)]), "says that the CA does not know the certificate");
    refused(response(&[single(SERIAL, &GOOD, None)]), "does not say how long it is valid");
    let over = single(SERIAL, &GOOD, Some("20260301080000Z"));
    refused(response(&[over]), "expired on 2026-03-01 08:00 UTC;");
    refused(b"-----BEGIN OCSP RESPONSE-----".to_vec(), "is not an OCSP response in DER form");
    let try_later = der(0x30, &[&[0x0a, 1, 3]]);
    refused(try_later, "holds an error of the CA (tryLater)");
    refused(der(0x30, &[&[0x0a, 1, 4]]), "is not an OCSP response in DER form");
    refused(der(0x30, &[&[0x0a, 1, 0]]), "is of a type that clients do not know");
    refused([response(&[good(SERIAL)]), vec![0]].concat(), "is not an OCSP response in DER form");
}

#[test]
fn a_response_with_an_unexpected_element_is_malformed() {
    let (by_name, by_key) = (der(0xa1, &[&der(0x30, &[])]), der(0xa2, &[&der(4, &[&[2; 20]])]));
    let (extensions, certificates) = (der(0xa1, &[&der(0x30, &[])]), der(0xa0, &[&der(0x30, &[])]));
    let accepted = response_with(&[good(SERIAL)], &by_name, &extensions, &certificates);
    assert!(Staple::parse(accepted, &SERIAL, NOW).is_ok());
    let other = der(0xa3, &[]);
    let status = |status: &[u8]| response(&[single(SERIAL, status, Some("20260302000000Z"))]);
    for damaged in [
        response_with(&[good(SERIAL)], &other, &[], &[]),
        response_with(&[good(SERIAL)], &by_key, &other, &[]),
        response_with(&[good(SERIAL)], &by_key, &[], &other),
        status(&[0x80, 1, 0]),
        status(&der(0xa1, &[])),
        status(&[0x82, 1, 0]),
        status(&[&GOOD[..], &other].concat()),
    ] {
        refused(damaged, "is not an OCSP response in DER form");
    }
}

#[test]
fn a_file_that_is_not_there_is_nothing_to_tell_of() {
    let folder = Folder::new();
    assert_eq!(Staple::read(&folder.path("a.crt.ocsp"), &SERIAL, NOW), Ok(None));
    let file = folder.write("b.crt.ocsp", "text");
    let told = Staple::read(&file, &SERIAL, NOW).unwrap_err();
    assert_eq!(told.place, file.display().to_string());
    assert!(told.message.ends_with("; until then the certificate is served without it"), "{told}");
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes: Vec<u8>, at in any::<prop::sample::Index>(), change in any::<u8>()) {
        prop_assert!(Staple::parse(bytes, &SERIAL, NOW).is_err());
        let mut der = response(&[good(SERIAL)]);
        let at = at.index(der.len());
        prop_assert!(Staple::parse(der[..at].to_vec(), &SERIAL, NOW).is_err());
        der[at] ^= change;
        _ = Staple::parse(der, &SERIAL, NOW);
    }
}
