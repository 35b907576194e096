use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, Error, RootCertStore};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;

use super::*;
use crate::config::CertificateFiles;
use crate::pki::fixtures::{Folder, Signer, set_mode};
use crate::pki::pair;
use crate::tls::fixtures::{server, settings};

mod clients;
mod revocation;

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    cert: Cert,
}

/// Runs `tidegate cert` with `arguments`; a word that begins with `@` is a path in the folder.
fn cert(folder: &Folder, arguments: &str) -> Result<String, CertError> {
    let root = folder.path("").display().to_string();
    let words = arguments.split(' ').map(|word| match word.strip_prefix('@') {
        Some(rest) => format!("{}{rest}", root.trim_end_matches('/')),
        None => word.to_owned(),
    });
    let words = ["tidegate".to_owned()].into_iter().chain(words);
    execute(&Command::try_parse_from(words).unwrap().cert)
}

fn refusal(folder: &Folder, arguments: &str) -> (String, u8) {
    let failure = cert(folder, arguments).unwrap_err();
    (
        failure.to_string().replace(folder.path("").to_str().unwrap().trim_end_matches('/'), "@"),
        failure.exit_code(),
    )
}

fn der(path: PathBuf) -> CertificateDer<'static> {
    let chain = chain(path);
    assert_eq!(chain.len(), 1);
    chain[0].clone()
}

/// The certificates of a file. The key beside it must belong to the first.
fn chain(path: PathBuf) -> Vec<CertificateDer<'static>> {
    let read = pair::read(&CertificateFiles { key: path.with_extension("key"), certificate: path });
    assert!(read.problems.is_empty(), "{:?}", read.problems);
    read.chain.unwrap().into_iter().map(|certificate| certificate.der).collect()
}

fn parse<'a>(der: &'a CertificateDer<'static>) -> X509Certificate<'a> {
    x509_parser::parse_x509_certificate(der).unwrap().1
}

fn key_id(certificate: &X509Certificate<'_>) -> Option<Vec<u8>> {
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn a_ca_may_sign_certificates_and_no_further_ca() {
    let folder = Folder::new();
    let report = cert(&folder, "ca --out @/ca --name Wharf --days 10").unwrap();
    let der = der(folder.path("ca/ca.crt"));
    let ca = parse(&der);
    assert_eq!(ca.subject().to_string(), "CN=Wharf");
    assert_eq!(ca.issuer(), ca.subject());
    let constraints = ca.basic_constraints().unwrap().unwrap();
    assert!(constraints.critical && constraints.value.ca);
    assert_eq!(constraints.value.path_len_constraint, Some(0));
    let usage = ca.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.key_cert_sign() && usage.value.crl_sign());
    assert!(!usage.value.digital_signature());
    let life = ca.validity().not_after.timestamp() - ca.validity().not_before.timestamp();
    assert_eq!(life, 10 * 86_400 + 3_600);
    assert_eq!(mode(folder.path("ca/ca.crt")), 0o644);
    assert_eq!(mode(folder.path("ca/ca.key")), 0o600);
    // `install -D` makes the folder, which docker and podman do not bring along.
    for hint in [
        "/ca/ca.crt /etc/docker/certs.d/HOST:PORT/ca.crt",
        "docker          install -D -m 644",
        "podman, skopeo  install -D -m 644",
        "update-ca-certificates",
        "curl --cacert",
    ] {
        assert!(report.contains(hint), "{report}");
    }
}

#[test]
fn a_server_certificate_says_what_clients_want_to_read() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    cert(&folder, "server --ca @/ca --out @/certs R.example.com *.example.com 10.0.0.5 ::1 r.example.com")
        .unwrap();
    let (ca_der, der) = (der(folder.path("ca/ca.crt")), der(folder.path("certs/domain.crt")));
    let (ca, leaf) = (parse(&ca_der), parse(&der));
    leaf.verify_signature(Some(ca.public_key())).unwrap();
    assert_eq!(leaf.issuer().as_raw(), ca.subject().as_raw());
    assert_eq!(leaf.subject().to_string(), "CN=r.example.com");
    let names: Vec<_> = leaf
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value
        .general_names
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        names,
        [
            "DNSName(r.example.com)",
            "DNSName(*.example.com)",
            "IPAddress(0a:00:00:05)",
            "IPAddress(00:00:00:00:00:00:00:00:00:00:00:00:00:00:00:01)"
        ]
    );
    assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
    assert_eq!(leaf.key_usage().unwrap().unwrap().value.flags, 1);
    let purpose = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(purpose.server_auth && !purpose.client_auth);
    assert_ne!(leaf.raw_serial(), ca.raw_serial());
    assert!((8..=17).contains(&leaf.raw_serial().len()), "{}", leaf.raw_serial_as_string());
    let authority = leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0.to_vec()),
        _ => None,
    });
    assert!(key_id(&leaf).is_some() && authority.is_some());
    assert_eq!(authority, key_id(&ca));
    assert_eq!(mode(folder.path("certs/domain.crt")), 0o644);
    assert_eq!(mode(folder.path("certs/domain.key")), 0o600);
}

#[test]
fn a_client_that_trusts_the_ca_accepts_the_server_by_its_names_only() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    cert(&folder, "server --ca @/ca --out @/certs r.example.com *.example.com 10.0.0.5").unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(der(folder.path("ca/ca.crt"))).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
    let leaf = der(folder.path("certs/domain.crt"));
    let verify = |name| {
        verifier.verify_server_cert(&leaf, &[], &ServerName::try_from(name).unwrap(), &[], UnixTime::now())
    };
    for name in ["r.example.com", "other.example.com", "10.0.0.5"] {
        verify(name).unwrap();
    }
    for name in ["example.com", "10.0.0.6"] {
        let error = verify(name).unwrap_err();
        assert!(
            matches!(error, Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })),
            "{error}"
        );
    }
}

#[test]
fn a_server_certificate_may_say_where_the_list_of_revoked_ones_is() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    cert(&folder, "server --ca @/ca --out @/certs --crl-url http://pki.test/ca.crl a.test").unwrap();
    let text = fs::read(folder.path("certs/domain.crt")).unwrap();
    let der = x509_parser::pem::parse_x509_pem(&text).unwrap().1.contents;
    let certificate = x509_parser::parse_x509_certificate(&der).unwrap().1;
    let points = certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::CRLDistributionPoints(points) => Some(format!("{points:?}")),
        _ => None,
    });
    assert!(points.unwrap().contains("http://pki.test/ca.crl"));
}

#[test]
fn tidegate_serves_what_it_made_without_a_warning() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    cert(&folder, "server --ca @/ca --out @/certs r.example.com").unwrap();
    let files = CertificateFiles {
        certificate: folder.path("certs/domain.crt"),
        key: folder.path("certs/domain.key"),
    };
    let tls = settings(vec![files]);
    let made = server(&tls, &["r.example.com".to_owned()], None).unwrap();
    assert!(made.warnings.is_empty(), "{:?}", made.warnings);
}

#[test]
fn what_is_there_is_replaced_only_on_demand() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    let before = fs::read(folder.path("ca/ca.key")).unwrap();
    assert_eq!(
        refusal(&folder, "ca --out @/ca"),
        ("@/ca/ca.crt exists; nothing was written, `--force` replaces the CA".to_owned(), 73)
    );
    assert_eq!(fs::read(folder.path("ca/ca.key")).unwrap(), before);
    cert(&folder, "ca --out @/ca --force").unwrap();
    assert_ne!(fs::read(folder.path("ca/ca.key")).unwrap(), before);

    cert(&folder, "server --ca @/ca --out @/certs a.test").unwrap();
    fs::remove_file(folder.path("certs/domain.crt")).unwrap();
    assert_eq!(
        refusal(&folder, "server --ca @/ca --out @/certs a.test"),
        ("@/certs/domain.key exists; nothing was written, `--renew` replaces it".to_owned(), 73)
    );
}

#[test]
fn renewal_keeps_the_mode_but_never_a_key_open_to_all() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    cert(&folder, "server --ca @/ca --out @/certs a.test").unwrap();
    set_mode(&folder.path("certs/domain.key"), 0o640);
    cert(&folder, "server --ca @/ca --out @/certs --renew a.test").unwrap();
    assert_eq!(mode(folder.path("certs/domain.key")), 0o640);
    set_mode(&folder.path("certs/domain.key"), 0o644);
    cert(&folder, "server --ca @/ca --out @/certs --renew a.test").unwrap();
    assert_eq!(mode(folder.path("certs/domain.key")), 0o640);
    let left: Vec<_> =
        fs::read_dir(folder.path("certs")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn a_certificate_ends_with_its_ca() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca --days 5").unwrap();
    let report = cert(&folder, "server --ca @/ca --out @/certs a.test").unwrap();
    assert!(report.contains("it expires together with the CA"), "{report}");
    let (ca, leaf) = (der(folder.path("ca/ca.crt")), der(folder.path("certs/domain.crt")));
    assert_eq!(parse(&leaf).validity().not_after, parse(&ca).validity().not_after);
}

#[test]
fn an_unusable_ca_is_named() {
    let folder = Folder::new();
    let arguments = "server --ca @ --out @/certs a.test";
    assert_eq!(
        refusal(&folder, arguments),
        ("@: there is no CA here; make one with `tidegate cert ca --out @`".to_owned(), 66)
    );
    folder.write("ca.crt", Signer::new("ca").certificate.pem());
    assert_eq!(
        refusal(&folder, arguments),
        ("@/ca.key: there is no such file; check the path, or create it".to_owned(), 65)
    );
    let (certificate, key) = Signer::new("ca").server(&["a.test"]);
    folder.pair("ca", &certificate.pem(), &key);
    assert_eq!(
        refusal(&folder, arguments),
        ("@/ca.crt: is not the certificate of a CA; make one with `tidegate cert ca`".to_owned(), 65)
    );
    assert_eq!(
        refusal(&folder, "server --ca @/ca.crt --out @/certs a.test"),
        ("@/ca.crt: is a file; --ca names the folder that holds ca.crt and ca.key".to_owned(), 65)
    );
    assert!(!folder.path("certs").exists());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let folder = Folder::new();
    folder.write("file", "");
    let (sentence, code) = refusal(&folder, "ca --out @/file/ca");
    assert!(sentence.starts_with("@/file/ca: cannot be written: "), "{sentence}");
    assert_eq!(code, 73);
    let (sentence, code) = refusal(&folder, "ca --out @/file");
    assert_eq!(sentence, "@/file: is a file; name a folder");
    assert_eq!(code, 73);
}

#[test]
fn a_command_in_a_report_can_be_pasted_although_a_folder_has_a_space() {
    let folder = Folder::new();
    fs::create_dir(folder.path("my dir")).unwrap();
    let out = folder.path("my dir/ca");
    let cert = |words: &[&str]| {
        let words = ["tidegate"].iter().chain(words);
        execute(&Command::try_parse_from(words).unwrap().cert).unwrap()
    };
    let out = out.to_str().unwrap();
    let report = cert(&["ca", "--out", out]);
    assert!(report.contains(&format!("tidegate cert server --ca '{out}' --out certs")), "{report}");
    for command in ["install -D -m 644", "cp", "curl --cacert"] {
        assert!(report.contains(&format!("{command} '{out}/ca.crt' ")), "{report}");
    }
    let report = cert(&["client", "--ca", out, "--out", &format!("{out}/it's"), "build1"]);
    assert!(report.contains(&format!(r"cert revoke --ca '{out}' '{out}/it'\''s/client.cert'")), "{report}");
}

#[test]
fn arguments_that_make_no_sense_are_refused() {
    for arguments in [
        "ca",
        "ca --out d --days 0",
        "ca --out d --days 36501",
        "ca --out d --new-list",
        "ca --out d --crl --new-list --force",
        "server --ca d --out d",
        "server --ca d --out d a.test:5000",
        "client --ca d --out d",
        "client --ca d --out d build1 build2",
        "client --ca d --out d build:1",
        "revoke --ca d",
        "revoke --ca d --serial 0",
        "revoke --ca d --serial wharf",
    ] {
        let arguments = format!("tidegate {arguments}");
        assert!(Command::try_parse_from(arguments.split(' ')).is_err(), "{arguments}");
    }
    let told =
        Command::try_parse_from("tidegate ca --out d --days 365d".split(' ')).err().unwrap().to_string();
    assert!(told.contains("write a whole number of days from 1 to 36500, without a unit"), "{told}");
    assert!(ca::common_name(&"x".repeat(65)).is_err());
    assert!(ca::common_name(" ").is_err());
    assert_eq!(ca::common_name(" Wharf ").as_deref(), Ok("Wharf"));
}
