use std::iter::once;

use rcgen::{
    CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, PKCS_ED25519, SanType,
};
use time::Duration as Span;

use super::issuers::user_name;
use super::*;
use crate::config::UserFrom;
use crate::pki::fixtures::{Folder, Signer, ca_params, params};
use crate::tls::fixtures::settings;

fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

/// The parameters of a client certificate for `alice`.
fn alice() -> CertificateParams {
    let mut params = params(&["build.example.com"]);
    params.distinguished_name.push(DnType::CommonName, "alice");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A folder with CAs and CRLs, and the settings that name them.
struct Fixture {
    folder: Folder,
    settings: ClientCertificates,
}

impl Fixture {
    fn new(cas: &[&Signer], crls: &[&str]) -> Self {
        let folder = Folder::new();
        let mut settings = settings(Vec::new()).client;
        let pems: Vec<_> = cas.iter().map(|ca| ca.certificate.pem()).collect();
        settings.ca = folder.write("clients.crt", pems.concat());
        let crls = crls.iter().enumerate();
        settings.crl = crls.map(|(index, crl)| folder.write(&format!("{index}.crl"), crl)).collect();
        Self { folder, settings }
    }

    fn open(&self) -> (Authorities, Vec<String>) {
        let (authorities, warnings) =
            Authorities::open(&self.settings, now()).map_err(|p| p.to_string()).unwrap();
        (authorities, warnings.iter().map(ToString::to_string).collect())
    }

    fn refusal(&self) -> String {
        Authorities::open(&self.settings, now()).err().unwrap().to_string()
    }

    fn user(&self, chain: &[&rcgen::Certificate]) -> Result<String, CertificateRejection> {
        let chain: Vec<_> = chain.iter().map(|certificate| certificate.der().clone()).collect();
        self.open().0.user(&PresentedCertificate::new(&chain).unwrap()).map(|name| name.to_string())
    }
}

fn issue(ca: &Signer, change: impl FnOnce(&mut CertificateParams)) -> rcgen::Certificate {
    let mut params = alice();
    change(&mut params);
    ca.sign(&params, &KeyPair::generate().unwrap())
}

#[test]
fn each_fault_has_its_reason() {
    let (ca, stranger) = (Signer::new("ca"), Signer::new("ca"));
    let ours = Fixture::new(&[&ca], &[]);
    let judge = |change: fn(&mut CertificateParams)| ours.user(&[&issue(&ca, change)]);
    assert_eq!(judge(|_| ()).as_deref(), Ok("alice"));
    assert_eq!(judge(|params| params.extended_key_usages.clear()).as_deref(), Ok("alice"));
    assert_eq!(judge(|params| params.not_after = now() - Span::MINUTE), Err(CertificateRejection::Expired));
    assert_eq!(
        judge(|params| params.not_before = now() + Span::MINUTE),
        Err(CertificateRejection::NotYetValid)
    );
    let server = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let for_servers = issue(&ca, |params| params.extended_key_usages = server);
    assert_eq!(ours.user(&[&for_servers]), Err(CertificateRejection::Purpose));
    assert_eq!(
        ours.user(&[&issue(&stranger, |_| ())]),
        Err(CertificateRejection::Stranger),
        "of a CA with our CA's name"
    );
    let key = KeyPair::generate().unwrap();
    assert_eq!(ours.user(&[&alice().self_signed(&key).unwrap()]), Err(CertificateRejection::Stranger));
    let ca_itself = judge(|params| params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained));
    assert_eq!(ca_itself, Err(CertificateRejection::Unusable));
}

#[test]
fn the_name_is_taken_from_where_the_settings_say() {
    let ca = Signer::new("ca");
    let mut ours = Fixture::new(&[&ca], &[]);
    let named =
        |name: &'static str| issue(&ca, |params| params.distinguished_name.push(DnType::CommonName, name));
    assert_eq!(ours.user(&[&named("Build Machine 7")]).as_deref(), Ok("Build Machine 7"));
    for bad in ["a:b", "a\nb", "a ", "\u{a0}a", "a\u{200b}", "\u{202e}a", &"a".repeat(256)] {
        assert_eq!(user_name(Some(bad)), Err(CertificateRejection::Name), "{bad:?}");
    }
    assert_eq!(ours.user(&[&named("admin:")]), Err(CertificateRejection::Name));
    let nameless = issue(&ca, |params| params.distinguished_name = Default::default());
    assert_eq!(ours.user(&[&nameless]), Err(CertificateRejection::Nameless));
    let common_name = rcgen::DnType::CustomDnType(vec![2, 5, 4, 3]);
    let two = issue(&ca, |params| params.distinguished_name.push(common_name, "admin"));
    assert_eq!(ours.user(&[&two]), Err(CertificateRejection::Name), "two common names");

    ours.settings.user_from = UserFrom::AlternativeName;
    assert_eq!(ours.user(&[&issue(&ca, |_| ())]).as_deref(), Ok("build.example.com"));
    let mail = SanType::Rfc822Name("alice@example.com".try_into().unwrap());
    let by_mail = issue(&ca, |params| params.subject_alt_names.insert(0, mail));
    assert_eq!(ours.user(&[&by_mail]).as_deref(), Ok("alice@example.com"));
    let nameless = issue(&ca, |params| params.subject_alt_names.clear());
    assert_eq!(ours.user(&[&nameless]), Err(CertificateRejection::Nameless));
}

#[test]
fn several_cas_intermediate_ones_and_keys_of_other_kinds() {
    let (first, second) = (Signer::new("first"), Signer::new("second"));
    let below = second.intermediate("below");
    let ours = Fixture::new(&[&first, &second], &[]);
    assert_eq!(ours.user(&[&issue(&first, |_| ())]).as_deref(), Ok("alice"));
    let leaf = issue(&below, |_| ());
    assert_eq!(ours.user(&[&leaf, &below.certificate]).as_deref(), Ok("alice"));
    assert_eq!(ours.user(&[&leaf]), Err(CertificateRejection::Stranger), "without the certificate between");
    let only_below = Fixture::new(&[&below], &[]);
    assert_eq!(only_below.user(&[&leaf]).as_deref(), Ok("alice"));
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    assert_eq!(ours.user(&[&first.sign(&alice(), &key)]).as_deref(), Ok("alice"));
}

#[test]
fn what_a_ca_has_revoked_counts_no_more() {
    let (ca, other) = (Signer::new("ca"), Signer::new("other"));
    let below = ca.intermediate("below");
    let serial = |bytes: &'static [u8]| {
        move |params: &mut CertificateParams| params.serial_number = Some(bytes.to_vec().into())
    };
    let (revoked, good) = (issue(&ca, serial(&[0x80, 7])), issue(&ca, serial(&[9])));
    let next = now() + Span::days(30);
    let ours = Fixture::new(&[&ca, &other], &[&ca.revoke(&[&[0x80, 7]], next)]);
    assert_eq!(ours.user(&[&revoked]), Err(CertificateRejection::Revoked));
    assert_eq!(ours.user(&[&good]).as_deref(), Ok("alice"));
    let of_other = issue(&other, serial(&[0x80, 7]));
    assert_eq!(ours.user(&[&of_other]).as_deref(), Ok("alice"), "another CA's numbers are others");
    let (_, warnings) = ours.open();
    assert!(
        warnings.len() == 1 && warnings[0].contains("no file of tls.client.crl holds a CRL of other"),
        "{warnings:?}"
    );

    let leaf = issue(&below, serial(&[5]));
    let intermediate = Facts::read(below.certificate.der()).unwrap().serial;
    let without_intermediate = Fixture::new(&[&ca], &[&ca.revoke(&[&intermediate], next)]);
    assert_eq!(without_intermediate.user(&[&leaf, &below.certificate]), Err(CertificateRejection::Revoked));
    let of_below = Fixture::new(&[&ca], &[&(ca.revoke(&[], next) + &below.revoke(&[&[5]], next))]);
    assert_eq!(of_below.user(&[&leaf, &below.certificate]), Err(CertificateRejection::Revoked));
}

#[test]
fn a_list_out_of_date_lets_nobody_in_and_is_warned_of() {
    let ca = Signer::new("ca");
    let good = issue(&ca, |_| ());
    let late = Fixture::new(&[&ca], &[&ca.revoke(&[], now() - Span::MINUTE)]);
    assert_eq!(late.user(&[&good]), Err(CertificateRejection::OutOfDate));
    assert!(late.open().1[0].contains("expired on"), "{:?}", late.open().1);
    let soon = Fixture::new(&[&ca], &[&ca.revoke(&[], now() + Span::days(2))]);
    assert_eq!(soon.user(&[&good]).as_deref(), Ok("alice"));
    assert!(soon.open().1[0].contains("expires on"), "{:?}", soon.open().1);
    let both = Fixture::new(
        &[&ca],
        &[&ca.revoke(&[], now() - Span::MINUTE), &ca.revoke(&[], now() + Span::days(30))],
    );
    assert_eq!(both.user(&[&good]).as_deref(), Ok("alice"), "one up to date is enough");
}

#[test]
fn a_new_list_counts_at_once_and_a_bad_one_leaves_the_old() {
    let ca = Signer::new("ca");
    let next = now() + Span::days(30);
    let ours = Fixture::new(&[&ca], &[&ca.revoke(&[], next)]);
    let (authorities, _) = ours.open();
    let leaf = issue(&ca, |params| params.serial_number = Some(vec![7].into()));
    let shown = PresentedCertificate::new(&[leaf.der().clone()]).unwrap();
    assert!(authorities.user(&shown).is_ok());
    ours.folder.write("0.crl", ca.revoke(&[&[7]], next));
    assert_eq!(authorities.user(&shown), Err(CertificateRejection::Revoked));
    ours.folder.write("0.crl", &ca.revoke(&[], next)[..100]);
    assert_eq!(authorities.user(&shown), Err(CertificateRejection::Revoked));
    ours.folder.write("0.crl", Signer::new("ca").revoke(&[], next));
    assert_eq!(authorities.user(&shown), Err(CertificateRejection::Revoked), "not signed by our CA");
    let other = Signer::new("other");
    ours.folder.write("0.crl", other.revoke(&[], next));
    assert_eq!(authorities.user(&shown), Err(CertificateRejection::Revoked), "of a CA that is none of ours");
    ours.folder.write("0.crl", ca.revoke(&[], next));
    assert!(authorities.user(&shown).is_ok());
}

#[test]
fn a_ca_with_a_new_key_and_the_old_name_has_lists_of_its_own() {
    let (old, new) = (Signer::new("ca"), Signer::new("ca"));
    let next = now() + Span::days(30);
    let list = old.revoke(&[&[7]], next);
    let ours = Fixture::new(&[&old, &new], &[&list]);
    let seventh = |ca| issue(ca, |params| params.serial_number = Some(vec![7].into()));
    assert_eq!(ours.user(&[&seventh(&old)]), Err(CertificateRejection::Revoked));
    assert_eq!(ours.user(&[&seventh(&new)]).as_deref(), Ok("alice"));
    assert!(ours.open().1[0].contains("no file of tls.client.crl holds a CRL of ca"), "{:?}", ours.open().1);
}

/// CA certificates of one name, with `extensions` unknown extensions each.
fn maze(extensions: u64) -> Vec<rcgen::Certificate> {
    let unknown = |index| CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, index], Vec::new());
    let certificate = |_| {
        let mut params = ca_params("maze");
        params.custom_extensions = (0..extensions).map(unknown).collect();
        let issuer = rcgen::Issuer::new(ca_params("maze"), KeyPair::generate().unwrap());
        params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap()
    };
    (1..LONGEST).map(certificate).collect()
}

/// webpki tries certificates of one name in every order, and an untrusted client may send any
/// number of them. Seven took 0.8 s of CPU.
#[test]
fn a_maze_of_certificates_is_not_searched() {
    let (ca, mazes) = (Signer::new("ca"), Signer::new("maze"));
    let ours = Fixture::new(&[&ca], &[]);
    for (extensions, verdict) in [(100, CertificateRejection::Stranger), (350, CertificateRejection::Chain)] {
        let mut chain = vec![issue(&mazes, |_| ())];
        chain.extend(maze(extensions));
        let chain: Vec<_> = chain.iter().collect();
        let began = Instant::now();
        assert_eq!(ours.user(&chain), Err(verdict), "{extensions} extensions");
        assert!(began.elapsed() < Duration::from_millis(300), "{:?}", began.elapsed());
    }
}

#[test]
fn a_chain_over_the_limits_is_rejected_unread() {
    let ca = Signer::new("ca");
    let ours = Fixture::new(&[&ca], &[]);
    let leaf = issue(&ca, |_| ());
    let filled = |bytes: usize| {
        let filler = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999], vec![0; bytes]);
        issue(&ca, |params| params.custom_extensions = vec![filler])
    };
    assert_eq!(ours.user(&[&filled(LARGEST - 1000)]).as_deref(), Ok("alice"));
    let large = filled(LARGEST);
    assert_eq!(ours.user(&[&large]), Err(CertificateRejection::Chain));
    assert_eq!(ours.user(&[&leaf, &large]), Err(CertificateRejection::Chain));
    assert_eq!(PresentedCertificate::new(&[large.der().clone()]).unwrap().label(), "unreadable");
    assert_eq!(ours.user(&[&leaf; LONGEST]).as_deref(), Ok("alice"));
    assert_eq!(ours.user(&[&leaf; LONGEST + 1]), Err(CertificateRejection::Chain));
}

#[test]
fn six_intermediates_lead_to_the_ca_in_any_order() {
    let mut cas = vec![Signer::new("root")];
    for depth in 0..6 {
        cas.push(cas[depth].intermediate(&format!("depth {depth}")));
    }
    let leaf = issue(&cas[6], |_| ());
    let ours = Fixture::new(&[&cas[0]], &[]);
    // The first is the root, which some clients send along.
    let mut chain: Vec<_> = once(&leaf).chain(cas.iter().map(|ca| &ca.certificate)).collect();
    assert_eq!(ours.user(&chain).as_deref(), Ok("alice"));
    chain[1..].reverse();
    assert_eq!(ours.user(&chain).as_deref(), Ok("alice"));
    chain.remove(3);
    assert_eq!(ours.user(&chain), Err(CertificateRejection::Stranger));
}

/// A CA with a new key keeps its name, and so may the CAs below it.
#[test]
fn cas_of_one_name_are_all_tried_and_of_intermediates_the_one_with_the_right_key() {
    let (old, new) = (Signer::new("ca"), Signer::new("ca"));
    let ours = Fixture::new(&[&old, &new], &[]);
    let below = [old.intermediate("below"), new.intermediate("below"), new.intermediate("below")];
    let sent: Vec<_> = below.iter().map(|ca| &ca.certificate).collect();
    for ca in &below {
        let leaf = issue(ca, |params| params.use_authority_key_identifier_extension = true);
        let chain: Vec<_> = once(&leaf).chain(sent.iter().copied()).collect();
        assert_eq!(ours.user(&chain).as_deref(), Ok("alice"));
    }
    for ca in [&old, &new] {
        assert_eq!(ours.user(&[&issue(ca, |_| ())]).as_deref(), Ok("alice"));
    }
}

#[test]
fn an_expired_ca_has_no_clients_unless_it_was_renewed() {
    let key = KeyPair::generate().unwrap();
    let mut old = ca_params("ca");
    old.not_after = now() - Span::MINUTE;
    let new = ca_params("ca");
    let (old, renewed) = (old.self_signed(&key).unwrap(), new.self_signed(&key).unwrap());
    let issuer = rcgen::Issuer::new(new, key);
    let leaf = alice().signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let mut ours = Fixture::new(&[], &[]);
    ours.settings.ca = ours.folder.write("clients.crt", old.pem());
    assert_eq!(ours.user(&[&leaf]), Err(CertificateRejection::IssuerExpired));
    assert!(ours.open().1[0].contains("is valid from"), "{:?}", ours.open().1);
    ours.settings.ca = ours.folder.write("clients.crt", old.pem() + &renewed.pem());
    assert_eq!(ours.user(&[&leaf]).as_deref(), Ok("alice"));
}

#[test]
fn says_what_is_wrong_with_its_files() {
    let ca = Signer::new("ca");
    let crl = ca.revoke(&[], now() + Span::days(30));
    let start = |fixture: &Fixture, file: &str, rest: &str| {
        let expected = format!("{}: {rest}", fixture.folder.path(file).display());
        assert!(fixture.refusal().starts_with(&expected), "{}", fixture.refusal());
    };
    start(&Fixture::new(&[], &[]), "clients.crt", "is empty");
    start(&Fixture::new(&[&ca], &[&ca.certificate.pem()]), "0.crl", "holds no list of revoked certificates");
    start(&Fixture::new(&[&ca], &[&crl[..100]]), "0.crl", "holds a damaged or truncated PEM block");
    let partial = ca.revoke_scoped(rcgen::CrlScope::UserCertsOnly);
    start(
        &Fixture::new(&[&ca], &[&partial]),
        "0.crl",
        "holds a CRL that covers only some of the CA's certificates",
    );
    let forged = Signer::new("ca").revoke(&[], now() + Span::days(30));
    start(&Fixture::new(&[&ca], &[&forged]), "0.crl", "holds a CRL with the name of a CA");
    let mut missing = Fixture::new(&[&ca], &[&crl]);
    missing.settings.crl = vec![missing.folder.path("none.crl")];
    start(&missing, "none.crl", "the list of revoked certificates does not exist; make it with");
    let two = Fixture::new(&[&ca], &[&(crl.clone() + &crl)]);
    assert!(two.open().1.is_empty());
}
