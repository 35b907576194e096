use std::fs;
use std::os::unix::fs::symlink;

use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};

use super::*;
use crate::pki::fixtures::{Folder, Signer, set_mode, traditional};

fn sentences(pair: &Pair) -> Vec<String> {
    pair.problems.iter().map(ToString::to_string).collect()
}

#[test]
fn reads_every_kind_of_key() {
    let folder = Folder::new();
    let ca = Signer::new("ca");
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519] {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let certificate = ca.sign(&crate::pki::fixtures::params(&["a.test"]), &key);
        let pair = read(&folder.pair("a", &certificate.pem(), &key));
        assert_eq!(sentences(&pair), [""; 0]);
    }
    let (certificate, key) = ca.rsa_server(&["a.test"]);
    let files = folder.pair("rsa", &certificate.pem(), &key);
    folder.write("rsa.key", traditional(&key, "RSA PRIVATE KEY"));
    assert_eq!(sentences(&read(&files)), [""; 0]);
    let (certificate, key) = ca.server(&["a.test"]);
    let files = folder.pair("sec1", &certificate.pem(), &key);
    folder.write("sec1.key", traditional(&key, "EC PRIVATE KEY"));
    assert_eq!(sentences(&read(&files)), [""; 0]);
}

#[test]
fn one_file_may_hold_both() {
    let folder = Folder::new();
    let (certificate, key) = Signer::new("ca").server(&["a.test"]);
    let path = folder.write("both.pem", certificate.pem() + &key.serialize_pem());
    let pair = read(&CertificateFiles { certificate: path.clone(), key: path });
    assert_eq!(sentences(&pair), [""; 0]);
    assert!(pair.chain.is_some() && pair.key.is_some());
}

#[test]
fn both_files_missing_are_two_problems() {
    let folder = Folder::new();
    let files = CertificateFiles { certificate: folder.path("a.crt"), key: folder.path("a.key") };
    let pair = read(&files);
    assert_eq!(
        sentences(&pair),
        [&files.certificate, &files.key]
            .map(|path| format!("{}: there is no such file; check the path, or create it", path.display()))
    );
    assert!(pair.problems.iter().all(|problem| problem.missing));
}

#[test]
fn a_key_that_others_can_read_is_refused_also_behind_a_link() {
    let folder = Folder::new();
    let (certificate, key) = Signer::new("ca").server(&["a.test"]);
    let mut files = folder.pair("a", &certificate.pem(), &key);
    set_mode(&files.key, 0o644);
    symlink("a.key", folder.path("link.key")).unwrap();
    files.key = folder.path("link.key");
    let pair = read(&files);
    assert_eq!(
        sentences(&pair),
        [format!(
            "{}: is a private key that every user of this machine can use (mode 0644); `chmod 640` it, \
             in Kubernetes set `defaultMode: 0440` on the volume",
            files.key.display()
        )]
    );
    set_mode(&folder.path("a.key"), 0o440);
    assert_eq!(sentences(&read(&files)), [""; 0]);
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let folder = Folder::new();
    let ca = Signer::new("ca");
    let (certificate, _) = ca.server(&["a.test"]);
    let (_, key) = ca.server(&["a.test"]);
    let files = folder.pair("a", &certificate.pem(), &key);
    assert_eq!(
        sentences(&read(&files)),
        [format!(
            "{}: does not match the certificate in {}: it is the private key of another certificate",
            files.key.display(),
            files.certificate.display()
        )]
    );
}

#[test]
fn a_leaf_that_is_not_first_is_pointed_at() {
    let folder = Folder::new();
    let ca = Signer::new("ca");
    let (certificate, key) = ca.server(&["a.test"]);
    let files = folder.pair("a", &(ca.certificate.pem() + &certificate.pem()), &key);
    assert_eq!(
        sentences(&read(&files)),
        [format!(
            "{}: the key belongs to certificate 2 of the file (a.test), which must come first: \
             the server's own certificate, then its issuer, and so on",
            files.certificate.display()
        )]
    );
}

#[test]
fn swapped_files_are_reported_and_the_certificate_may_be_readable() {
    let folder = Folder::new();
    let (certificate, key) = Signer::new("ca").server(&["a.test"]);
    let files = folder.pair("a", &certificate.pem(), &key);
    set_mode(&files.certificate, 0o644);
    let swapped = CertificateFiles { certificate: files.key.clone(), key: files.certificate.clone() };
    assert_eq!(
        sentences(&read(&swapped)),
        [
            format!(
                "{}: holds no certificate, only a private key; are certificate and key swapped?",
                files.key.display()
            ),
            format!(
                "{}: holds no private key, only certificates; are certificate and key swapped?",
                files.certificate.display()
            ),
        ]
    );
}

#[test]
fn unusable_content_is_named() {
    let folder = Folder::new();
    let (certificate, key) = Signer::new("ca").server(&["a.test"]);
    let files = folder.pair("a", &certificate.pem(), &key);
    folder.write("a.crt", pem::encode("CERTIFICATE", b"not a certificate"));
    folder.write("a.key", pem::encode("PRIVATE KEY", b"not a key"));
    assert_eq!(
        sentences(&read(&files)),
        [
            format!("{}: certificate 1 of the file is damaged", files.certificate.display()),
            format!(
                "{}: holds a private key of a kind that cannot be used; make it RSA of 2048 to 8192 bits, \
                 ECDSA on P-256, P-384 or P-521, or Ed25519",
                files.key.display()
            ),
        ]
    );
}

#[test]
fn an_encrypted_key_comes_with_the_command_that_decrypts_it() {
    let folder = Folder::new();
    let (certificate, key) = Signer::new("ca").server(&["a.test"]);
    let files = folder.pair("a", &certificate.pem(), &key);
    folder.write("a.key", pem::encode("ENCRYPTED PRIVATE KEY", b"x"));
    assert_eq!(
        sentences(&read(&files)),
        [format!(
            "{}: is encrypted; decrypt it with `openssl pkey -in FILE -out NEW-FILE` and name the new file",
            files.key.display()
        )]
    );
}

#[test]
fn only_regular_files_of_sensible_size_are_read() {
    let folder = Folder::new();
    let files = CertificateFiles { certificate: "/dev/zero".into(), key: folder.path("large") };
    fs::write(&files.key, vec![b'\n'; 1 << 21]).unwrap();
    assert_eq!(
        sentences(&read(&files)),
        [
            "/dev/zero: cannot be read: it is not a regular file; name a PEM file".to_owned(),
            format!("{}: cannot be read: it is larger than 1 MiB; name a PEM file", files.key.display()),
        ]
    );
}

#[test]
fn a_pair_that_is_replaced_between_the_two_reads_is_read_again() {
    let folder = Folder::new();
    let ca = Signer::new("ca");
    let (old, old_key) = ca.server(&["a.test"]);
    let (new, new_key) = ca.server(&["a.test"]);
    let files = folder.pair("a", &old.pem(), &old_key);
    let mut reads = 0;
    let pair = read_with(&files, |path| {
        let content = open(path);
        reads += 1;
        if reads == 1 {
            folder.pair("a", &new.pem(), &new_key);
        }
        content
    });
    assert_eq!(sentences(&pair), [""; 0]);
    assert_eq!(reads, 4);
    assert_eq!(pair.chain.unwrap()[0].der, *new.der());
}

#[test]
fn a_file_that_may_not_be_read_comes_with_the_commands_that_help() {
    let problem = unreadable(Path::new("a.key"), &io::ErrorKind::PermissionDenied.into());
    let user = rustix::process::geteuid().as_raw();
    assert_eq!(
        problem.to_string(),
        format!(
            "a.key: cannot be read by the user that tidegate runs as (user id {user}); \
             `chgrp` it to a group of that user and `chmod 640` it"
        )
    );
    assert!(!problem.missing);
}
