use super::*;
use crate::tls::fixtures::{Folder, Signer, armour};

fn sentence(path: &Path) -> String {
    upstream(Some(path)).unwrap_err().0.iter().map(ToString::to_string).collect::<Vec<_>>().join("|")
}

#[test]
fn speaks_http_1_to_the_registry() {
    let folder = Folder::new();
    let path = folder.write("ca.crt", Signer::new("ca").certificate.pem());
    assert_eq!(upstream(Some(&path)).unwrap().alpn_protocols, [b"http/1.1"]);
}

#[test]
fn says_what_is_wrong_with_the_file() {
    let folder = Folder::new();
    let missing = folder.path("missing.crt");
    assert!(upstream(Some(&missing)).unwrap_err().0[0].missing);
    let empty = folder.write("empty.crt", "");
    assert_eq!(sentence(&empty), format!("{}: is empty", empty.display()));
    let good = Signer::new("ca").certificate.pem();
    let bad = folder.write("bad.crt", good + &armour(b"x", "CERTIFICATE"));
    let expected = format!("{}: certificate 2 of the file cannot be used as a root", bad.display());
    assert!(sentence(&bad).starts_with(&expected), "{}", sentence(&bad));
}
