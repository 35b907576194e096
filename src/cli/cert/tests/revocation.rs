//! Revocation lists and their entries.

use std::path::Path;

use rcgen::{
    CertificateRevocationListParams, CrlDistributionPoint, CrlIssuingDistributionPoint, KeyIdMethod,
    KeyUsagePurpose, RevocationReason, RevokedCertParams, SerialNumber,
};
use rustls::server::WebPkiClientVerifier;
use time::macros::datetime;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::*;
use crate::pki::fixtures::ca_params;

fn list(folder: &Folder) -> Vec<u8> {
    let text = fs::read(folder.path("ca/ca.crl")).unwrap();
    assert!(text.starts_with(b"-----BEGIN X509 CRL-----\n"));
    x509_parser::pem::parse_x509_pem(&text).unwrap().1.contents
}

/// The CRL number, and the serial numbers in the list.
fn content(folder: &Folder) -> (u64, Vec<String>) {
    let der = list(folder);
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    let ca = der_of_ca(folder);
    list.verify_signature(parse(&ca).public_key()).unwrap();
    let number = list.crl_number().unwrap().try_into().unwrap();
    (number, list.iter_revoked_certificates().map(|entry| entry.raw_serial_as_string()).collect())
}

fn der_of_ca(folder: &Folder) -> CertificateDer<'static> {
    der(folder.path("ca/ca.crt"))
}

fn serial(folder: &Folder, certificate: &str) -> String {
    parse(&der(folder.path(certificate))).raw_serial_as_string()
}

/// A CA with clients `a` and `b`.
fn with_clients() -> Folder {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    cert(&folder, "client --ca @/ca --out @/a a").unwrap();
    cert(&folder, "client --ca @/ca --out @/b b").unwrap();
    folder
}

#[test]
fn a_ca_can_be_made_with_an_empty_list() {
    let folder = Folder::new();
    let report = cert(&folder, "ca --out @/ca --crl").unwrap();
    assert!(report.contains("  crl = [\""), "{report}");
    assert_eq!(mode(folder.path("ca/ca.crl")), 0o644);
    assert_eq!(content(&folder), (1, Vec::new()));
    let (ca_der, der) = (der_of_ca(&folder), list(&folder));
    let (ca, list) = (parse(&ca_der), CertificateRevocationList::from_der(&der).unwrap().1);
    assert_eq!(list.version().unwrap().0, 1, "version 2 is written as 1");
    assert_eq!(list.issuer().as_raw(), ca.subject().as_raw());
    assert_eq!(list.next_update(), Some(ca.validity().not_after));
    let authority = list.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    assert!(authority.is_some());
    assert_eq!(authority, key_id(&ca));
}

#[test]
fn the_list_of_a_ca_is_renewed_without_touching_the_ca() {
    let folder = with_clients();
    assert!(!folder.path("ca/ca.crl").exists(), "only on demand");
    let files = || ["ca/ca.crt", "ca/ca.key"].map(|name| fs::read(folder.path(name)).unwrap());
    let before = files();
    cert(&folder, "ca --out @/ca --crl").unwrap();
    assert_eq!(content(&folder), (1, Vec::new()));
    cert(&folder, "revoke --ca @/ca @/a/client.cert").unwrap();
    set_mode(&folder.path("ca/ca.crl"), 0o640);
    let report = cert(&folder, "ca --out @/ca --crl").unwrap();
    assert!(report.contains("the list of revoked certificates (1)"), "{report}");
    assert_eq!(content(&folder), (3, vec![serial(&folder, "a/client.cert")]));
    assert_eq!(mode(folder.path("ca/ca.crl")), 0o640);
    let [certificate, key] = files();
    assert_eq!(certificate, before[0]);
    assert_eq!(key, [&before[1], RECORD].concat(), "the key says once that there is a list");

    cert(&folder, "ca --out @/ca --crl --force").unwrap();
    assert_eq!(content(&folder), (1, Vec::new()));
    assert_ne!(files(), before);
}

#[test]
fn a_list_that_was_left_by_a_ca_is_not_replaced_unasked() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca --crl").unwrap();
    fs::remove_file(folder.path("ca/ca.crt")).unwrap();
    assert_eq!(
        refusal(&folder, "ca --out @/ca --crl"),
        ("@/ca/ca.crt: there is no such file; check the path, or create it".to_owned(), 65)
    );
    fs::remove_file(folder.path("ca/ca.key")).unwrap();
    assert_eq!(
        refusal(&folder, "ca --out @/ca --crl"),
        ("@/ca/ca.crl exists; nothing was written, `--force` replaces the CA".to_owned(), 73)
    );
}

#[test]
fn revoked_certificates_are_added_to_the_list_once() {
    let folder = with_clients();
    let before = time::OffsetDateTime::now_utc().unix_timestamp();
    let report = cert(&folder, "revoke --ca @/ca @/a/client.cert").unwrap();
    let after = time::OffsetDateTime::now_utc().unix_timestamp();
    assert!(report.contains("client.cert (a, serial number "), "{report}");
    assert!(report.contains("  crl = [\"") && report.contains("by itself"), "{report}");
    let a = serial(&folder, "a/client.cert");
    assert_eq!(content(&folder), (1, vec![a.clone()]));
    assert_eq!(mode(folder.path("ca/ca.crl")), 0o644);
    let der = list(&folder);
    let entry =
        CertificateRevocationList::from_der(&der).unwrap().1.tbs_cert_list.revoked_certificates.remove(0);
    assert!((before..=after).contains(&entry.revocation_date.timestamp()));
    assert!(entry.extensions().is_empty());

    let text = fs::read(folder.path("ca/ca.crl")).unwrap();
    let report = cert(&folder, "revoke --ca @/ca @/a/client.cert").unwrap();
    assert!(report.contains(" was revoked already on 20"), "{report}");
    assert_eq!(fs::read(folder.path("ca/ca.crl")).unwrap(), text);

    // The same certificate twice in one command, together with one that is revoked already.
    let b = serial(&folder, "b/client.cert");
    let arguments = format!("revoke --ca @/ca @/a/client.cert @/b/client.cert --serial {b}");
    let report = cert(&folder, &arguments).unwrap();
    assert_eq!(report.matches(" was revoked already").count(), 2, "{report}");
    assert_eq!(content(&folder), (2, in_order([a, b])));
}

/// In the order of the list, which is not the order of revocation.
fn in_order(mut serials: [String; 2]) -> Vec<String> {
    serials.sort_by_key(|serial| serial.trim_start_matches("00:").to_owned());
    serials.to_vec()
}

#[test]
fn a_server_that_has_the_list_refuses_who_is_in_it() {
    let folder = with_clients();
    cert(&folder, "revoke --ca @/ca @/a/client.cert").unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der_of_ca(&folder)).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .with_crls([list(&folder).into()])
        .enforce_revocation_expiration()
        .build()
        .unwrap();
    let verify = |name| verifier.verify_client_cert(&der(folder.path(name)), &[], UnixTime::now());
    assert_eq!(verify("a/client.cert").unwrap_err(), Error::InvalidCertificate(CertificateError::Revoked));
    verify("b/client.cert").unwrap();
}

#[test]
fn a_certificate_whose_file_is_lost_is_revoked_by_its_number() {
    let folder = with_clients();
    let number = serial(&folder, "a/client.cert").replace(':', "").to_uppercase();
    cert(&folder, &format!("revoke --ca @/ca --serial {number} --serial 00:ff:01")).unwrap();
    let expected = [serial(&folder, "a/client.cert"), "00:ff:01".to_owned()];
    assert_eq!(content(&folder).1, in_order(expected));
}

#[test]
fn what_this_ca_did_not_sign_is_refused_and_nothing_written() {
    let folder = with_clients();
    cert(&folder, "ca --out @/other").unwrap();
    cert(&folder, "client --ca @/other --out @/c c").unwrap();
    folder.write("nothing.pem", "no certificate");
    let refused = "is not signed by this CA (tidegate private CA); only the CA that signed it can revoke it";
    assert_eq!(
        refusal(&folder, "revoke --ca @/ca @/a/client.cert @/c/client.cert @/missing @/nothing.pem"),
        (
            format!(
                "@/c/client.cert: {refused}\n\
                 @/missing: there is no such file; check the path, or create it\n\
                 @/nothing.pem: {}",
                crate::pki::pair::certificates(&folder.path("nothing.pem")).unwrap_err().message
            ),
            65
        )
    );
    assert_eq!(refusal(&folder, "revoke --ca @/ca @/missing").1, 66);
    let own = "is the certificate of the CA itself, which cannot revoke itself; name another one";
    assert_eq!(refusal(&folder, "revoke --ca @/ca @/ca/ca.crt"), (format!("@/ca/ca.crt: {own}"), 65));
    let number = serial(&folder, "ca/ca.crt");
    assert!(refusal(&folder, &format!("revoke --ca @/ca --serial {number}")).0.ends_with(own));
    assert!(!folder.path("ca/ca.crl").exists());
    assert_eq!(refusal(&folder, "revoke --ca @/none @/a/client.cert").1, 66);
}

#[test]
fn a_file_that_is_not_this_cas_list_is_never_replaced() {
    let folder = with_clients();
    cert(&folder, "ca --out @/same --crl").unwrap();
    cert(&folder, "ca --out @/else --crl --name else").unwrap();
    let read = |name| fs::read_to_string(folder.path(name)).unwrap();
    let (same, other) = (read("same/ca.crl"), read("else/ca.crl"));
    for (text, expected) in [
        (other.clone(), "is the revocation list of another CA"),
        (
            same.clone(),
            "is not signed with this CA's key: it was changed, or belongs to another CA with the same name",
        ),
        (format!("{same}{other}"), "holds 2 revocation lists; keep only the one of this CA"),
        (
            read("ca/ca.crt"),
            "holds no list of revoked certificates (X509 CRL); create one with `tidegate cert ca --crl`",
        ),
        (same.replace('M', "A"), "holds a damaged list of revoked certificates (CRL)"),
        (String::new(), "is empty"),
    ] {
        folder.write("ca/ca.crl", &text);
        for arguments in ["revoke --ca @/ca @/a/client.cert", "ca --out @/ca --crl"] {
            let (sentence, code) = refusal(&folder, arguments);
            let expected = format!(
                "@/ca/ca.crl: {expected}; nothing was written; restore it, or move it away and begin a new list with \
                 `tidegate cert ca --crl --new-list --out @/ca`"
            );
            assert_eq!((sentence, code), (expected, 65));
        }
        assert_eq!(read("ca/ca.crl"), text);
    }
}

/// The last line of the key of a CA that has a list.
const RECORD: &[u8] = b"# tidegate: this CA has a list of revoked certificates, ca.crl\n";

#[test]
fn a_lost_list_is_noticed_and_no_revoked_certificate_counts_again() {
    let lost = "@/ca/ca.crl: the list of revoked certificates does not exist, but @/ca/ca.key says that the CA has \
                one; a new list would make revoked certificates valid again; restore it, for example from the server, \
                or begin a new list with `tidegate cert ca --crl --new-list --out @/ca` and revoke them again";
    let revoke = |folder: &Folder| cert(folder, "revoke --ca @/ca @/a/client.cert").unwrap();
    let renew = |folder: &Folder| cert(folder, "ca --out @/ca --crl").unwrap();
    let replace = |folder: &Folder| {
        cert(folder, "ca --out @/ca --crl --force").unwrap();
        cert(folder, "client --ca @/ca --out @/b --renew b").unwrap()
    };
    // A list of an older version of tidegate, or of another tool, is recorded when it is found.
    let found = |folder: &Folder| {
        let key = fs::read(folder.path("ca/ca.key")).unwrap();
        revoke(folder);
        folder.write("ca/ca.key", key);
        revoke(folder)
    };
    for begin in [&revoke as &dyn Fn(&Folder) -> String, &renew, &replace, &found] {
        let folder = with_clients();
        begin(&folder);
        let list = fs::read(folder.path("ca/ca.crl")).unwrap();
        fs::remove_file(folder.path("ca/ca.crl")).unwrap();
        for arguments in ["revoke --ca @/ca @/b/client.cert", "ca --out @/ca --crl"] {
            assert_eq!(refusal(&folder, arguments), (lost.to_owned(), 66));
            assert!(!folder.path("ca/ca.crl").exists());
        }
        // Both ways out. The key still works.
        folder.write("ca/ca.crl", list);
        cert(&folder, "revoke --ca @/ca @/b/client.cert").unwrap();
        fs::remove_file(folder.path("ca/ca.crl")).unwrap();
        cert(&folder, "ca --out @/ca --crl --new-list").unwrap();
        cert(&folder, "revoke --ca @/ca @/b/client.cert").unwrap();
        assert_eq!(content(&folder), (2, vec![serial(&folder, "b/client.cert")]));
    }
}

#[test]
fn a_new_list_is_begun_only_where_there_is_none() {
    let folder = with_clients();
    cert(&folder, "revoke --ca @/ca @/a/client.cert").unwrap();
    cert(&folder, "ca --out @/ca --crl --new-list").unwrap();
    assert_eq!(content(&folder), (2, vec![serial(&folder, "a/client.cert")]));
}

#[test]
fn a_key_that_cannot_be_changed_is_reported_with_the_line_that_it_lacks() {
    let note = list::record(Path::new("/none"));
    let expected = "note: /none/ca.key cannot say that it has this list: ";
    assert!(note.starts_with(expected) && note.ends_with(str::from_utf8(RECORD).unwrap()), "{note}");
}

/// A CA made by another tool, which can sign CRLs, and its own CRL.
fn foreign_list(folder: &Folder, scope: Option<CrlIssuingDistributionPoint>) -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = ca_params("foreign");
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.key_identifier_method = KeyIdMethod::PreSpecified(vec![7; 20]);
    fs::create_dir_all(folder.path("ca")).unwrap();
    folder.pair("ca/ca", &params.self_signed(&key).unwrap().pem(), &key);
    let revoked = |number: u64, reason_code, invalidity_date| RevokedCertParams {
        serial_number: SerialNumber::from(number),
        revocation_time: datetime!(2020-01-02 03:04:05 UTC),
        reason_code,
        invalidity_date,
    };
    let list = CertificateRevocationListParams {
        this_update: datetime!(2020-01-03 0:00 UTC),
        next_update: datetime!(2020-02-03 0:00 UTC),
        crl_number: SerialNumber::from(0xffff_u64),
        issuing_distribution_point: scope,
        revoked_certs: vec![
            revoked(200, Some(RevocationReason::KeyCompromise), Some(datetime!(2019-12-24 12:00 UTC))),
            revoked(1, None, None),
        ],
        key_identifier_method: params.key_identifier_method.clone(),
    };
    let text = list.signed_by(&rcgen::Issuer::new(params, key)).unwrap().pem().unwrap();
    folder.write("ca/ca.crl", &text);
    text
}

#[test]
fn the_list_of_another_tool_keeps_what_it_says() {
    let folder = Folder::new();
    foreign_list(&folder, None);
    cert(&folder, "revoke --ca @/ca --serial 02").unwrap();
    assert_eq!(content(&folder), (0x10000, ["01", "02", "00:c8"].map(str::to_owned).to_vec()));
    let der = list(&folder);
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    let first = list.iter_revoked_certificates().find(|entry| entry.raw_serial() == [0, 0xc8]).unwrap();
    assert_eq!(first.revocation_date.to_datetime(), datetime!(2020-01-02 03:04:05 UTC));
    assert_eq!(first.reason_code().unwrap().1.0, 1);
    assert_eq!(first.invalidity_date().unwrap().1.to_datetime(), datetime!(2019-12-24 12:00 UTC));
    assert!(list.extensions().iter().any(|extension| matches!(
        extension.parsed_extension(),
        ParsedExtension::AuthorityKeyIdentifier(id) if id.key_identifier.as_ref().unwrap().0 == [7; 20]
    )));
}

#[test]
fn a_list_of_some_certificates_only_is_not_made_the_list_of_all() {
    let folder = Folder::new();
    let point = CrlDistributionPoint { uris: vec!["http://ca.test/some.crl".to_owned()] };
    let text = foreign_list(
        &folder,
        Some(CrlIssuingDistributionPoint {
            distribution_point: point,
            scope: Some(rcgen::CrlScope::UserCertsOnly),
        }),
    );
    let (sentence, _) = refusal(&folder, "revoke --ca @/ca --serial 02");
    assert!(
        sentence.contains("holds a CRL that covers only some of the CA's certificates; get the complete CRL"),
        "{sentence}"
    );
    assert_eq!(fs::read_to_string(folder.path("ca/ca.crl")).unwrap(), text);
}

#[test]
fn a_ca_that_may_not_sign_lists_is_reported_so() {
    let folder = Folder::new();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = ca_params("ca");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    folder.pair("ca", &params.self_signed(&key).unwrap().pem(), &key);
    assert_eq!(
        refusal(&folder, "revoke --ca @ --serial 02"),
        (
            "the CA in ca.crt cannot sign a revocation list: its key usage lacks cRLSign; \
             make a CA with `tidegate cert ca`"
                .to_owned(),
            65
        )
    );
}

#[test]
fn commands_at_the_same_time_lose_no_entry() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    std::thread::scope(|scope| {
        for thread in 1..=4 {
            let folder = &folder;
            scope.spawn(move || {
                for number in 0..5 {
                    cert(folder, &format!("revoke --ca @/ca --serial {thread}{number}")).unwrap();
                    cert(folder, "ca --crl --out @/ca").unwrap();
                }
            });
        }
    });
    let (number, entries) = content(&folder);
    assert_eq!((number, entries.len()), (40, 20));
}
