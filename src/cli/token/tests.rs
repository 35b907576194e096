use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use clap::Parser as _;
use tempfile::TempDir;

use super::*;
use crate::config;
use crate::token::Tokens;

#[derive(clap::Parser)]
struct Line {
    #[command(flatten)]
    token: Token,
}

fn parsed(arguments: &[&str]) -> Result<Token, clap::Error> {
    Line::try_parse_from(["tidegate token"].iter().chain(arguments)).map(|line| line.token)
}

fn settings(folder: &TempDir) -> config::Token {
    config::Token {
        service: Some("registry.test".to_owned()),
        issuer: "tidegate".to_owned(),
        key: Some(folder.path().join("token.key")),
        certificate: Some(folder.path().join("token.crt")),
        ttl: Duration::from_mins(5),
        refresh_ttl: Duration::ZERO,
    }
}

#[test]
fn what_it_makes_can_be_used_and_is_not_replaced() {
    for arguments in [&[][..], &["--rsa"]] {
        let folder = TempDir::new().unwrap();
        let key = folder.path().join("token.key");
        let command = parsed(&[&[key.to_str().unwrap()], arguments].concat()).unwrap();
        let report = make(&key, &command).unwrap();
        assert!(report.contains(&format!("key = {key:?}")) && report.contains("rootcertbundle"), "{report}");
        assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let tokens = Tokens::build(&settings(&folder), None).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(tokens.warnings(), []);
        let before = fs::read(&key).unwrap();
        let failure = make(&key, &command).unwrap_err();
        assert_eq!(failure.exit_code(), 73, "{failure}");
        assert_eq!(fs::read(&key).unwrap(), before);
    }
}

#[test]
fn key_and_certificate_need_two_names() {
    let folder = TempDir::new().unwrap();
    for name in ["token.crt", "..", "list"] {
        let failure = make(&folder.path().join(name), &parsed(&["x"]).unwrap()).unwrap_err();
        assert_eq!(failure.exit_code(), 64, "{failure}");
    }
}

#[test]
fn revoking_needs_the_key_and_says_whose() {
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("token.key");
    let alice = ["alice".to_owned()];
    assert_eq!(revoke(&key, &alice).unwrap_err().exit_code(), 66);
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    assert!(revoke(&key, &alice).unwrap().starts_with("ended the logins of alice"));
    assert!(revoke(&key, &[]).unwrap().starts_with("ended the logins of all users"));
    let list = fs::read(revoked::beside(&key)).unwrap();
    let revoked = Revoked::parse(&list).unwrap();
    assert!(revoked.ends("bob", 0) && !revoked.ends("bob", u64::MAX));
    fs::write(revoked::beside(&key), "alice yesterday\n").unwrap();
    assert_eq!(revoke(&key, &alice).unwrap_err().exit_code(), 65);
}

#[test]
fn revoking_changes_no_file_that_is_not_a_key() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("htpasswd");
    fs::write(&file, "alice:hash\n").unwrap();
    let failure = revoke(&file, &["alice".to_owned()]).unwrap_err();
    let message = "holds no private key; write the path that token.key has in proxy.toml";
    assert_eq!(failure.to_string(), format!("{}: {message}", file.display()));
    assert_eq!(failure.exit_code(), 65);
    assert_eq!(fs::read_to_string(&file).unwrap(), "alice:hash\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    let failure = revoke(Path::new("alice"), &[file.display().to_string()]).unwrap_err();
    let message = format!("the key comes first, and then the users: write {} alice", file.display());
    assert_eq!((failure.to_string(), failure.exit_code()), (message, 64));
}

#[test]
fn revoking_a_user_does_not_replace_a_list_that_was_lost() {
    let folder = TempDir::new().unwrap();
    let key = folder.path().join("token.key");
    let [alice, bob] = ["alice", "bob"].map(|user| [user.to_owned()]);
    fs::write(&key, "-----BEGIN PRIVATE KEY-----\n").unwrap();
    revoke(&key, &alice).unwrap();
    fs::remove_file(revoked::beside(&key)).unwrap();
    let refusal = revoke(&key, &bob).unwrap_err();
    assert_eq!(refusal.exit_code(), 66);
    assert!(refusal.to_string().contains("the list of revoked logins does not exist"), "{refusal}");
    assert!(!revoked::beside(&key).exists());
    revoke(&key, &[]).unwrap();
    revoke(&key, &bob).unwrap();
}

#[test]
fn words_of_the_command() {
    assert!(parsed(&["token.key"]).unwrap().command.is_none());
    assert!(parsed(&["revoke", "token.key", "alice", "bob"]).unwrap().command.is_some());
    assert!(parsed(&["revoke", "token.key", "--all"]).unwrap().command.is_some());
    for wrong in [
        &[][..],
        &["revoke"],
        &["revoke", "token.key"],
        &["revoke", "token.key", "alice", "--all"],
        &["revoke", "token.key", "a:b"],
        &["token.key", "another"],
        &["token.key", "--days", "0"],
    ] {
        assert!(parsed(wrong).is_err(), "{wrong:?}");
    }
}
