use std::fs;

use rcgen::KeyPair;

use super::*;
use crate::config::AcmeChallenge;
use crate::pki::fixtures::{Folder, Signer, params};

/// Settings for two names. The folder holds the roots of the directory.
fn acme(folder: &Folder) -> Acme {
    Acme {
        directory: "https://ca.test/dir".to_owned(),
        names: vec!["a.test".to_owned(), "b.test".to_owned()],
        contact: Vec::new(),
        state: folder.path("acme"),
        challenge: AcmeChallenge::TlsAlpn01,
        ca: Some(folder.write("ca.crt", Signer::new("ca").certificate.pem())),
        profile: None,
        eab: None,
    }
}

/// Chain and key in one file, in the format of the store.
fn chain_and_key(chain: &str, key: &KeyPair) -> Secret {
    Secret::new(format!("{chain}\n{}", key.serialize_pem()).into_bytes())
}

fn keep(acme: &Acme, pem: &Secret) {
    fs::create_dir_all(&acme.state).unwrap();
    let path = acme.files().certificate;
    fs::write(&path, pem.expose()).unwrap();
    crate::pki::fixtures::set_mode(&path, 0o600);
}

fn warnings((_, warnings): &(Vec<ServedCertificate>, Vec<Problem>)) -> String {
    warnings.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
}

#[test]
fn a_certificate_that_does_not_fit_the_order_is_rejected() {
    let folder = Folder::new();
    let (acme, ca, now) = (acme(&folder), Signer::new("ca"), OffsetDateTime::now_utc());
    let (good, key) = ca.server(&["b.test", "a.test"]);
    let (_, until) = validate(&acme, &chain_and_key(&good.pem(), &key), now).unwrap();
    assert_eq!((until - now).whole_days(), 364);

    let (one_name, its_key) = ca.server(&["a.test"]);
    let mut expired = params(&["a.test", "b.test"]);
    expired.not_after = now - Duration::HOUR;
    let stray = format!("{}{}", good.pem(), Signer::new("stranger").certificate.pem());
    for (pem, complaint) in [
        (chain_and_key(&one_name.pem(), &its_key), "does not cover the name b.test"),
        (chain_and_key(&good.pem(), &its_key), "does not match the certificate"),
        (chain_and_key(&ca.sign(&expired, &key).pem(), &key), "it expired on"),
        (chain_and_key(&stray, &key), "the chain is not in order"),
        (chain_and_key("", &key), "holds no certificate"),
        (Secret::new(*b"<html>"), "holds no PEM text"),
    ] {
        let failure = validate(&acme, &pem, now).unwrap_err();
        assert!(failure.message.starts_with("it issued an unusable certificate: "), "{failure:?}");
        assert!(failure.message.contains(complaint), "{failure:?}");
    }
}

#[test]
fn a_temporary_certificate_is_served_while_there_is_no_usable_one() {
    let folder = Folder::new();
    let (acme, ca, now) = (acme(&folder), Signer::new("ca"), OffsetDateTime::now_utc());
    let none = serve(&acme, &[], &SystemRoots::default(), now).unwrap();
    let ServedCertificate { certified, facts, .. } = &none.0[0];
    assert_eq!(facts.dns_names, acme.names);
    assert!(certified.keys_match().is_ok());
    assert!(warnings(&none).ends_with("until https://ca.test/dir has issued one: there is none yet"));

    let (good, key) = ca.server(&["a.test", "b.test"]);
    keep(&acme, &chain_and_key(&good.pem(), &key));
    let served = serve(&acme, &[], &SystemRoots::default(), now).unwrap();
    assert_eq!(served.0[0].certified.cert[0], *good.der());
    assert_eq!(warnings(&served), "");

    for odd in [now + Duration::days(400), now - Duration::days(400)] {
        let served = serve(&acme, &[], &SystemRoots::default(), odd).unwrap();
        assert_eq!(served.0[0].certified.cert[0], *good.der(), "this clock may be wrong");
        assert!(warnings(&served).contains("the certificate "), "{}", warnings(&served));
    }
}

#[test]
fn the_previous_certificate_stays_in_service_when_the_file_is_damaged_or_missing() {
    let folder = Folder::new();
    let (acme, ca, now) = (acme(&folder), Signer::new("ca"), OffsetDateTime::now_utc());
    let temporary = serve(&acme, &[], &SystemRoots::default(), now).unwrap().0;
    assert_eq!(
        serve(&acme, &temporary, &SystemRoots::default(), now).unwrap().0[0].certified.cert,
        temporary[0].certified.cert
    );

    let (good, key) = ca.server(&["a.test", "b.test"]);
    keep(&acme, &chain_and_key(&good.pem(), &key));
    let before = serve(&acme, &temporary, &SystemRoots::default(), now).unwrap().0;
    let path = acme.files().certificate;
    let damages: [&dyn Fn(); 3] = [
        &|| crate::pki::fixtures::set_mode(&path, 0o644),
        &|| fs::write(&path, &good.pem()[..300]).unwrap(),
        &|| fs::remove_file(&path).unwrap(),
    ];
    for damage in damages {
        damage();
        let served = serve(&acme, &before, &SystemRoots::default(), now).unwrap();
        assert_eq!(served.0[0].certified.cert[0], *good.der());
        assert!(
            warnings(&served).contains("the previous certificate stays in service until"),
            "{}",
            warnings(&served)
        );
        assert_eq!(
            next_attempt(&acme, Some(&Renewal::issued(&acme, now + Duration::DAY)), now),
            now,
            "a new one is due"
        );
    }
}

#[test]
fn an_upcoming_renewal_is_not_a_warning_but_a_failed_one_is() {
    let folder = Folder::new();
    let (acme, ca, now) = (acme(&folder), Signer::new("ca"), OffsetDateTime::now_utc());
    let (good, key) = ca.server(&["a.test", "b.test"]);
    keep(&acme, &chain_and_key(&good.pem(), &key));
    let late = now + Duration::days(360);
    assert_eq!(warnings(&serve(&acme, &[], &SystemRoots::default(), late).unwrap()), "");

    let renewal = Renewal::failed(&acme, 4, "too many".to_owned(), late);
    fs::write(acme.state.join("renewal.json"), serde_json::to_vec(&renewal).unwrap()).unwrap();
    let said = warnings(&serve(&acme, &[], &SystemRoots::default(), late).unwrap());
    assert!(said.contains("has issued no certificate in 4 attempts; last error: too many; "), "{said}");
}

#[test]
fn the_next_attempt_is_at_once_only_when_something_is_missing_and_nothing_has_failed() {
    let folder = Folder::new();
    let (acme, ca, now) = (acme(&folder), Signer::new("ca"), OffsetDateTime::now_utc());
    let later = now + Duration::DAY;
    let (issued, failed) = (Renewal::issued(&acme, later), Renewal::failed(&acme, 1, String::new(), later));
    assert_eq!(next_attempt(&acme, None, now), now);
    assert_eq!(next_attempt(&acme, Some(&issued), now), now, "the certificate is gone");
    assert_eq!(next_attempt(&acme, Some(&failed), now), later);
    let (good, key) = ca.server(&["a.test", "b.test"]);
    keep(&acme, &chain_and_key(&good.pem(), &key));
    assert_eq!(next_attempt(&acme, Some(&issued), now), later);
    assert_eq!(validity(&acme).map(|(_, until)| (until - now).whole_days()), Some(364));
    let never = now + Duration::days(7300);
    assert_eq!(
        next_attempt(&acme, Some(&Renewal::issued(&acme, never)), now),
        now,
        "written under another clock"
    );
    assert_eq!(next_attempt(&acme, Some(&Renewal::failed(&acme, 1, String::new(), never)), now), now);
}

#[test]
fn roots_that_cannot_be_read_and_a_folder_that_cannot_be_written_are_errors() {
    let folder = Folder::new();
    let mut acme = acme(&folder);
    acme.ca = Some(folder.write("ca.crt", "nothing"));
    acme.state = folder.write("file", "").join("acme");
    let problems = serve(&acme, &[], &SystemRoots::default(), OffsetDateTime::now_utc()).err().unwrap();
    assert!(problems.to_string().contains("holds no"), "{problems}");
    acme.ca = Some(folder.write("ca.crt", Signer::new("ca").certificate.pem()));
    let problems = serve(&acme, &[], &SystemRoots::default(), OffsetDateTime::now_utc()).err().unwrap();
    assert!(problems.to_string().contains("certificates cannot be stored here"), "{problems}");
}

#[test]
fn a_step_of_the_clock_neither_orders_too_often_nor_stops_retries() {
    let folder = Folder::new();
    let (acme, ca, now) = (acme(&folder), Signer::new("ca"), OffsetDateTime::now_utc());
    let (good, key) = ca.server(&["a.test", "b.test"]);
    fs::create_dir_all(&acme.state).unwrap();
    let path = acme.files().certificate;
    fs::write(&path, format!("{}\n{}", good.pem(), key.serialize_pem())).unwrap();
    crate::pki::fixtures::set_mode(&path, 0o600);
    let (from, until) = validity(&acme).unwrap();
    let (due, decade) = (now + Duration::days(240), Duration::days(3650));

    let issued = Renewal::issued(&acme, due);
    assert_eq!(next_attempt(&acme, Some(&issued), now - decade), due);
    let ahead = now + decade;
    assert!(next_attempt(&acme, Some(&issued), ahead) <= ahead);
    assert!(schedule::renewal(from, until, ahead, 1.0) >= ahead + Duration::hours(6));

    let retry = now + Duration::hours(6);
    let failed = Renewal::failed(&acme, 5, String::new(), retry);
    assert_eq!(next_attempt(&acme, Some(&failed), now - Duration::DAY), retry);
    assert_eq!(next_attempt(&acme, Some(&failed), now - decade), now - decade);
}
