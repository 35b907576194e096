use std::time::Duration;

use der::asn1::{BitString, GeneralizedTime, Null, OctetString};
use der::{Decode, Encode as _};
use proptest::prelude::*;
use time::macros::datetime;
use x509_ocsp::{AsResponseBytes as _, CertId, ResponderId, ResponseData, Version};

use super::*;
use crate::pki::fixtures::Folder;

const SERIAL: [u8; 2] = [0x12, 0x34];
const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// What a CA says of one certificate, from the first of March on for a day.
fn single(serial: [u8; 2]) -> SingleResponse {
    SingleResponse {
        cert_id: CertId {
            hash_algorithm: Decode::from_der(SHA_1).unwrap(),
            issuer_name_hash: OctetString::new([1; 20]).unwrap(),
            issuer_key_hash: OctetString::new([2; 20]).unwrap(),
            serial_number: Decode::from_der(&[2, 2, serial[0], serial[1]]).unwrap(),
        },
        cert_status: CertStatus::Good(Null),
        this_update: time(datetime!(2026-03-01 00:00 UTC)),
        next_update: Some(time(datetime!(2026-03-02 00:00 UTC))),
        single_extensions: None,
    }
}

const SHA_1: &[u8] = &[0x30, 7, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a];
const ECDSA_SHA_256: &[u8] = &[0x30, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2];

fn time(moment: OffsetDateTime) -> OcspGeneralizedTime {
    let since = Duration::from_secs(moment.unix_timestamp().unsigned_abs());
    OcspGeneralizedTime(GeneralizedTime::from_unix_duration(since).unwrap())
}

fn response(responses: Vec<SingleResponse>) -> Vec<u8> {
    let basic = BasicOcspResponse {
        tbs_response_data: ResponseData {
            version: Version::V1,
            responder_id: ResponderId::ByKey(OctetString::new([2; 20]).unwrap()),
            produced_at: time(NOW),
            responses,
            response_extensions: None,
        },
        signature_algorithm: Decode::from_der(ECDSA_SHA_256).unwrap(),
        signature: BitString::from_bytes(&[3; 64]).unwrap(),
        certs: None,
    };
    let response_bytes = Some(basic.to_response_bytes().unwrap());
    OcspResponse { response_status: OcspResponseStatus::Successful, response_bytes }.to_der().unwrap()
}

fn refused(der: Vec<u8>, beginning: &str) {
    let reason = Staple::parse(der, &SERIAL, NOW).unwrap_err();
    assert!(reason.starts_with(beginning), "{reason}");
}

#[test]
fn a_good_response_is_valid_until_the_next_is_due() {
    let der = response(vec![single([1, 1]), single(SERIAL)]);
    let staple = Staple::parse(der.clone(), &SERIAL, NOW).unwrap();
    assert_eq!(staple.der, der);
    assert!(!staple.is_valid(datetime!(2026-02-28 23:59:59 UTC)));
    assert!(staple.is_valid(datetime!(2026-03-01 00:00 UTC)));
    assert!(staple.is_valid(datetime!(2026-03-01 23:59:59 UTC)));
    assert!(!staple.is_valid(datetime!(2026-03-02 00:00 UTC)));
}

#[test]
fn what_is_of_no_use_is_told() {
    refused(response(vec![single([1, 1])]), "is about another certificate");
    refused(response(vec![]), "is about another certificate");
    let changed = |change: &dyn Fn(&mut SingleResponse)| {
        let mut single = single(SERIAL);
        change(&mut single);
        response(vec![single])
    };
    // A RevokedInfo with nothing but its time.
    let revoked = [&[0xa1, 17, 0x18, 15][..], b"20260228000000Z"].concat();
    refused(
        changed(&|single| single.cert_status = Decode::from_der(&revoked).unwrap()),
        "says that the certificate has been revoked",
    );
    refused(
        changed(&|single| single.cert_status = CertStatus::Unknown(Null)),
        "says that the CA does not know the certificate",
    );
    refused(changed(&|single| single.next_update = None), "does not say how long it holds");
    refused(
        changed(&|single| single.next_update = Some(time(datetime!(2026-03-01 08:00 UTC)))),
        "held until 2026-03-01 08:00 UTC;",
    );
    refused(b"-----BEGIN OCSP RESPONSE-----".to_vec(), "is no OCSP response in DER form");
    let try_later = OcspResponse { response_status: OcspResponseStatus::TryLater, response_bytes: None };
    refused(try_later.to_der().unwrap(), "is the CA's refusal to answer (TryLater)");
}

#[test]
fn a_file_that_is_not_there_is_nothing_to_tell_of() {
    let folder = Folder::new();
    assert_eq!(Staple::read(&folder.path("a.crt.ocsp"), &SERIAL, NOW), Ok(None));
    let file = folder.write("b.crt.ocsp", "text");
    let told = Staple::read(&file, &SERIAL, NOW).unwrap_err();
    assert_eq!(told.place, file.display().to_string());
    assert!(told.message.ends_with("; until then the certificate goes without"), "{told}");
}

proptest! {
    #[test]
    fn bytes_of_any_kind_do_no_harm(bytes: Vec<u8>, at in any::<prop::sample::Index>(), change in any::<u8>()) {
        prop_assert!(Staple::parse(bytes, &SERIAL, NOW).is_err());
        let mut der = response(vec![single(SERIAL)]);
        let at = at.index(der.len());
        prop_assert!(Staple::parse(der[..at].to_vec(), &SERIAL, NOW).is_err());
        der[at] ^= change;
        _ = Staple::parse(der, &SERIAL, NOW);
    }
}
