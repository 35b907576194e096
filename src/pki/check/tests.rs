use rcgen::{Certificate as Made, KeyPair};
use time::macros::datetime;

use super::*;
use crate::pki::fixtures::{Signer, issuer_url, params};

fn links(certificates: &[&Made]) -> Vec<Certificate> {
    certificates
        .iter()
        .map(|one| Certificate { der: one.der().clone(), facts: Facts::read(one.der()).unwrap() })
        .collect()
}

fn judge(links: &[Certificate]) -> Findings {
    judge_at(links, OffsetDateTime::now_utc())
}

fn judge_at(links: &[Certificate], now: OffsetDateTime) -> Findings {
    chain(Path::new("a.crt"), links, RenewedBy::Operator, now, &|_| false)
}

fn sentences(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// The findings for a leaf after `change` of its facts.
fn doubted(change: impl FnOnce(&mut Facts)) -> Findings {
    let (leaf, _) = Signer::new("ca").server(&["a.test"]);
    let mut links = links(&[&leaf]);
    change(&mut links[0].facts);
    judge(&links)
}

fn assert_sole_warning(findings: &Findings, beginning: &str) {
    assert_eq!(sentences(&findings.errors), [""; 0]);
    let warnings = sentences(&findings.warnings);
    assert!(warnings.len() == 1 && warnings[0].starts_with(beginning), "{warnings:?}");
}

#[test]
fn a_whole_chain_and_a_leaf_of_a_private_ca_are_fine() {
    let root = Signer::new("root");
    let middle = root.intermediate("middle");
    let (leaf, _) = middle.server(&["a.test"]);
    for chain in
        [&[&leaf][..], &[&leaf, &middle.certificate], &[&leaf, &middle.certificate, &root.certificate]]
    {
        let findings = judge(&links(chain));
        assert_eq!(sentences(&findings.errors), [""; 0]);
        assert_eq!(sentences(&findings.warnings), [""; 0]);
    }
}

#[test]
fn a_cross_signed_issuer_may_stand_beside_the_other() {
    let root = Signer::new("root");
    let middle = root.intermediate("middle");
    let crossed = Signer::new("other root").intermediate("middle");
    let (leaf, _) = middle.server(&["a.test"]);
    let findings = judge(&links(&[&leaf, &middle.certificate, &crossed.certificate, &root.certificate]));
    assert_eq!(sentences(&findings.errors), [""; 0]);
}

#[test]
fn a_chain_out_of_order_is_refused() {
    let root = Signer::new("root");
    let middle = root.intermediate("middle");
    let (leaf, _) = middle.server(&["a.test"]);
    let findings = judge(&links(&[&leaf, &root.certificate, &middle.certificate]));
    assert_eq!(
        sentences(&findings.errors),
        [
            "a.crt: the chain is not in order: certificate 2 (root) did not issue any of the earlier ones; put the \
          server's own first, then its issuer, then the issuer's issuer, and nothing else"
        ]
    );
}

#[test]
fn an_expired_certificate_is_refused_with_its_date() {
    let mut asked = params(&["a.test"]);
    asked.not_before = datetime!(2024-01-01 00:00 UTC);
    asked.not_after = datetime!(2024-06-01 12:30 UTC);
    let leaf = Signer::new("ca").sign(&asked, &KeyPair::generate().unwrap());
    let links = links(&[&leaf]);
    let at = |now| sentences(&judge_at(&links, now).errors);
    assert_eq!(
        at(datetime!(2024-06-11 12:31 UTC)),
        ["a.crt: the certificate expired on 2024-06-01 12:30 UTC, 10 days ago; renew it"]
    );
    assert_eq!(
        at(datetime!(2024-06-01 12:30:07 UTC)),
        ["a.crt: the certificate expired on 2024-06-01 12:30 UTC, 7 seconds ago; renew it"]
    );
    assert_eq!(at(datetime!(2024-06-01 12:30 UTC)), [""; 0]);
}

#[test]
fn a_certificate_of_the_future_is_refused_with_its_date() {
    let mut asked = params(&["a.test"]);
    asked.not_before = datetime!(2024-01-01 00:00 UTC);
    let leaf = Signer::new("ca").sign(&asked, &KeyPair::generate().unwrap());
    let findings = judge_at(&links(&[&leaf]), datetime!(2023-12-31 20:59 UTC));
    assert_eq!(
        sentences(&findings.errors),
        ["a.crt: the certificate is not valid before 2024-01-01 00:00 UTC, 3 hours from now; \
          check this machine's clock, or wait"]
    );
}

#[test]
fn expiry_is_announced_21_days_ahead() {
    let mut asked = params(&["a.test"]);
    asked.not_before = datetime!(2024-01-01 00:00 UTC);
    asked.not_after = datetime!(2024-06-01 12:30 UTC);
    let leaf = Signer::new("ca").sign(&asked, &KeyPair::generate().unwrap());
    let links = links(&[&leaf]);
    let at = |now| sentences(&judge_at(&links, now).warnings);
    assert_eq!(at(datetime!(2024-05-11 12:30 UTC)), [""; 0]);
    assert_eq!(
        at(datetime!(2024-05-11 12:31 UTC)),
        ["a.crt: the certificate expires on 2024-06-01 12:30 UTC, in 20 days; renew it"]
    );
}

#[test]
fn a_ca_in_the_servers_place_is_refused() {
    let root = Signer::new("root");
    for certificate in [&root.certificate, &root.intermediate("middle").certificate] {
        let errors = sentences(&judge(&links(&[certificate])).errors);
        assert!(errors.len() == 1 && errors[0].contains("is a CA's, not a server's"), "{errors:?}");
    }
}

/// `openssl req -x509 -subj /CN=registry.example.com`, without `-addext`.
#[test]
fn a_self_signed_certificate_without_a_name_is_not_called_a_cas() {
    let errors = |common_name: &str, usages: bool| {
        let mut asked = crate::pki::fixtures::ca_params(common_name);
        if !usages {
            asked.key_usages.clear();
        }
        let certificate = asked.self_signed(&KeyPair::generate().unwrap()).unwrap();
        sentences(&judge(&links(&[&certificate])).errors)
    };
    for (name, example) in [
        ("registry.example.com", "DNS:registry.example.com"),
        ("localhost", "DNS:localhost"),
        ("192.0.2.10", "IP:192.0.2.10"),
    ] {
        for usages in [true, false] {
            let errors = errors(name, usages);
            let wanted =
                format!("a.crt: the certificate ({name}) is self-signed and has no subjectAltName, so");
            assert!(errors.len() == 1 && errors[0].starts_with(&wanted), "{errors:?}");
            assert!(errors[0].contains(&format!("subjectAltName={example}`")), "{errors:?}");
            assert!(!errors[0].contains("CA's"), "{errors:?}");
        }
    }
    let unclear = errors("My Company", false);
    assert!(
        unclear[0].contains("no subjectAltName") && unclear[0].contains("if it is a CA's"),
        "{unclear:?}"
    );
}

#[test]
fn the_self_signed_certificate_of_the_registry_documentation_is_taken_with_a_warning() {
    // `openssl req -x509 -addext subjectAltName=…` marks it as a CA.
    let mut asked = crate::pki::fixtures::ca_params("a.test");
    asked.subject_alt_names = params(&["a.test"]).subject_alt_names;
    let certificate = asked.self_signed(&KeyPair::generate().unwrap()).unwrap();
    assert_sole_warning(&judge(&links(&[&certificate])), "a.crt: the certificate is its own CA;");
}

#[test]
fn version_1_is_refused() {
    let findings = doubted(|facts| facts.version_3 = false);
    assert_eq!(
        sentences(&findings.errors),
        ["a.crt: the certificate is of the old X.509 version 1, which cannot name a host; create it with \
          extensions and a subjectAltName (`openssl x509 -req -extfile …`)"]
    );
}

#[test]
fn a_public_cas_leaf_without_its_chain_is_doubted() {
    let mut asked = params(&["a.test"]);
    asked.custom_extensions.push(issuer_url());
    let ca = Signer::new("ca");
    let leaf = ca.sign(&asked, &KeyPair::generate().unwrap());
    assert_sole_warning(&judge(&links(&[&leaf])), "a.crt: the file holds only the server's own certificate,");
    assert_eq!(sentences(&judge(&links(&[&leaf, &ca.certificate])).warnings), [""; 0]);
}

#[test]
fn a_leaf_of_a_root_that_the_system_trusts_is_fine() {
    let mut asked = params(&["a.test"]);
    asked.custom_extensions.push(issuer_url());
    let ca = Signer::new("ca");
    let links = links(&[&ca.sign(&asked, &KeyPair::generate().unwrap())]);
    let root = Facts::read(ca.certificate.der()).unwrap().subject;
    let findings =
        chain(Path::new("a.crt"), &links, RenewedBy::Operator, OffsetDateTime::now_utc(), &|name| {
            name == root
        });
    assert_eq!(sentences(&findings.warnings), [""; 0]);
}

#[test]
fn an_issuer_that_only_has_the_right_name_is_doubted() {
    let (old, new) = (Signer::new("ca"), Signer::new("ca"));
    let (leaf, _) = new.server(&["a.test"]);
    assert_sole_warning(
        &judge(&links(&[&leaf, &old.certificate])),
        "a.crt: certificate 1 of the file (a.test) was issued by another CA of the same name",
    );
    assert_eq!(sentences(&judge(&links(&[&leaf, &old.certificate, &new.certificate])).warnings), [""; 0]);
}

#[test]
fn what_clients_refuse_is_doubted() {
    for (findings, beginning) in [
        (doubted(|facts| facts.dns_names.clear()), "a.crt: the certificate has no subjectAltName;"),
        (doubted(|facts| facts.for_servers = false), "a.crt: the certificate is not for servers"),
        (doubted(|facts| facts.broken_hash = Some("SHA-1")), "a.crt: the certificate is signed with SHA-1,"),
    ] {
        assert_sole_warning(&findings, beginning);
    }
}

#[test]
fn an_expired_issuer_is_doubted() {
    let ca = Signer::new("ca");
    let (leaf, _) = ca.server(&["a.test"]);
    let mut links = links(&[&leaf, &ca.certificate]);
    links[1].facts.not_after = datetime!(2024-06-01 12:30 UTC);
    assert_sole_warning(
        &judge(&links),
        "a.crt: the issuer certificate ca in the file expired on 2024-06-01 12:30 UTC;",
    );
}

#[test]
fn a_configured_name_that_no_certificate_covers_gets_a_warning() {
    let (leaf, _) = Signer::new("ca").server(&["a.test", "10.0.0.5"]);
    let facts = Facts::read(leaf.der()).unwrap();
    let promised = ["a.test", "b.test", "10.0.0.5"].map(str::to_owned);
    assert_eq!(
        sentences(&names("server.names", &promised, std::iter::once(&facts))),
        ["server.names: no certificate covers b.test (covered: a.test, 10.0.0.5); clients that use this \
             name will refuse the connection"]
    );
    let none = names("tls.client.names", &promised[..1], std::iter::empty());
    assert!(
        sentences(&none)[0].starts_with("tls.client.names: no certificate covers a.test (covered: none);")
    );
}
