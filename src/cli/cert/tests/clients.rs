//! Client certificates.

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::*;

/// A server that trusts only `root`.
fn server(root: &CertificateDer<'static>) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap()
}

#[test]
fn a_client_certificate_names_its_user_and_is_for_clients_only() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    let ca_der = der(folder.path("ca/ca.crt"));
    let ca = parse(&ca_der);
    for (name, alternative) in [
        ("build1.example.com", Some("DNSName(build1.example.com)")),
        ("alice@example.com", Some("RFC822Name(alice@example.com)")),
        ("$alice", None),
    ] {
        let report = cert(&folder, &format!("client --ca @/ca --out @/{name} --days 10 {name}")).unwrap();
        let der = der(folder.path(name).join("client.cert"));
        let leaf = parse(&der);
        leaf.verify_signature(Some(ca.public_key())).unwrap();
        assert_eq!(leaf.issuer().as_raw(), ca.subject().as_raw());
        assert_eq!(leaf.subject().to_string(), format!("CN={name}"));
        let names = leaf.subject_alternative_name().unwrap();
        let names = names.map(|names| names.value.general_names.iter().map(ToString::to_string).collect());
        assert_eq!(names, alternative.map(|name| vec![name.to_owned()]));
        assert!(!leaf.basic_constraints().unwrap().unwrap().value.ca);
        assert_eq!(leaf.key_usage().unwrap().unwrap().value.flags, 1);
        let purpose = leaf.extended_key_usage().unwrap().unwrap().value;
        assert!(purpose.client_auth && !purpose.server_auth && !purpose.any);
        let life = leaf.validity().not_after.timestamp() - leaf.validity().not_before.timestamp();
        assert_eq!(life, 10 * 86_400 + 3_600);
        let serial = leaf.raw_serial_as_string().to_uppercase().replace(':', "");
        assert!(report.contains(serial.trim_start_matches("00")), "{report}");
        server(&ca_der).verify_client_cert(&der, &[], UnixTime::now()).unwrap();
    }
}

#[test]
fn the_folder_holds_what_docker_looks_for() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    let report = cert(&folder, "client --ca @/ca --out @/build1 build1").unwrap();
    let mut files: Vec<_> =
        fs::read_dir(folder.path("build1")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    assert_eq!(files, ["ca.crt", "client.cert", "client.key"]);
    assert_eq!(mode(folder.path("build1/client.cert")), 0o644);
    assert_eq!(mode(folder.path("build1/client.key")), 0o600);
    assert_eq!(mode(folder.path("build1/ca.crt")), 0o644);
    let read = |name| fs::read(folder.path(name)).unwrap();
    assert_eq!(read("build1/ca.crt"), read("ca/ca.crt"));
    for hint in [
        "/etc/docker/certs.d/HOST:PORT/",
        "/etc/containers/certs.d/HOST:PORT/",
        r#"client = [["client.cert", "client.key"]]"#,
        "curl --cert",
        "cert revoke --ca",
    ] {
        assert!(report.contains(hint), "{report}");
    }
}

#[test]
fn of_a_ca_below_another_one_the_client_has_the_way_to_the_root() {
    let folder = Folder::new();
    let root = Signer::new("root");
    let key = rcgen::KeyPair::generate().unwrap();
    let below = root.sign(&crate::pki::fixtures::ca_params("below"), &key);
    // Other content of the file is ignored.
    let file = format!("{}{}{}", below.pem(), root.certificate.pem(), key.serialize_pem());
    folder.pair("ca", &file, &key);
    cert(&folder, "client --ca @ --out @/build1 build1").unwrap();
    let sent = chain(folder.path("build1/client.cert"));
    assert_eq!(sent.len(), 2);
    assert_eq!(&sent[1], below.der());
    server(root.certificate.der()).verify_client_cert(&sent[0], &sent[1..], UnixTime::now()).unwrap();
    let trusted = fs::read_to_string(folder.path("build1/ca.crt")).unwrap();
    assert_eq!(trusted, format!("{}{}", below.pem(), root.certificate.pem()).replace("\r\n", "\n"));
}

#[test]
fn a_client_certificate_ends_with_its_ca() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca --days 5").unwrap();
    let report = cert(&folder, "client --ca @/ca --out @/build1 build1").unwrap();
    assert!(report.contains("it expires together with the CA"), "{report}");
    let (ca, leaf) = (der(folder.path("ca/ca.crt")), der(folder.path("build1/client.cert")));
    assert_eq!(parse(&leaf).validity().not_after, parse(&ca).validity().not_after);
}

#[test]
fn all_three_files_are_written_or_none() {
    let folder = Folder::new();
    cert(&folder, "ca --out @/ca").unwrap();
    fs::create_dir(folder.path("build1")).unwrap();
    folder.write("build1/ca.crt", "another");
    assert_eq!(
        refusal(&folder, "client --ca @/ca --out @/build1 build1"),
        ("@/build1/ca.crt exists; nothing was written, `--renew` replaces it".to_owned(), 73)
    );
    assert!(!folder.path("build1/client.key").exists());
    cert(&folder, "client --ca @/ca --out @/build1 --renew build1").unwrap();
    let before = der(folder.path("build1/client.cert"));
    set_mode(&folder.path("build1/client.key"), 0o640);
    cert(&folder, "client --ca @/ca --out @/build1 --renew build1").unwrap();
    assert_ne!(der(folder.path("build1/client.cert")), before);
    assert_eq!(mode(folder.path("build1/client.key")), 0o640);

    // The last of the three files cannot be replaced.
    let before = der(folder.path("build1/client.cert"));
    fs::remove_file(folder.path("build1/ca.crt")).unwrap();
    fs::create_dir(folder.path("build1/ca.crt")).unwrap();
    let (sentence, code) = refusal(&folder, "client --ca @/ca --out @/build1 --renew build1");
    assert_eq!(
        (sentence.as_str(), code),
        ("@/build1/ca.crt: cannot be written: it is not a regular file", 73)
    );
    assert_eq!(der(folder.path("build1/client.cert")), before);
    assert_eq!(fs::read_dir(folder.path("build1")).unwrap().count(), 3);
}
