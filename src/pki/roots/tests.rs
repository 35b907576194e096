use super::*;
use crate::pki::fixtures::{Folder, Signer};

fn sentence(path: &Path) -> String {
    client_config(Some(path), "upstream.ca", &SystemRoots::default(), &[])
        .unwrap_err()
        .0
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("|")
}

#[test]
fn says_what_is_wrong_with_the_file() {
    let folder = Folder::new();
    let missing = folder.path("missing.crt");
    assert!(
        client_config(Some(&missing), "upstream.ca", &SystemRoots::default(), &[]).unwrap_err().0[0].missing
    );
    let empty = folder.write("empty.crt", "");
    assert_eq!(sentence(&empty), format!("{}: is empty", empty.display()));
    let good = Signer::new("ca").certificate.pem();
    let bad = folder.write("bad.crt", good + &pem::encode("CERTIFICATE", b"x"));
    let expected = format!("{}: certificate 2 of the file cannot be used as a root", bad.display());
    assert!(sentence(&bad).starts_with(&expected), "{}", sentence(&bad));
}
