//! `[shared]`.

use super::*;

#[test]
fn nothing_is_shared_by_default() {
    let shared = parse(PAIR).unwrap().shared;
    assert_eq!((shared.url, shared.prefix.as_str()), (None, "tidegate"));
}

#[test]
fn mistakes_are_reported_and_no_password_is_shown() {
    for (lines, message) in [
        (
            "url = \"redis://door:hunter2@valkey\"",
            "5:7: shared.url: found \"redis://...@valkey\" (a password is not allowed here; write it into the file of \
             shared.password_file)",
        ),
        ("url = \"valkey:6379\"", "5:7: shared.url: found \"valkey:6379\" (redis:// or rediss:// is missing"),
        ("url = \"redis://valkey\"", "5:7: shared.secret_file is missing: without a password"),
        (
            "url = \"redis://door@valkey\"\nsecret_file = \"s\"",
            "5:7: shared.password_file is missing, which the user in shared.url needs",
        ),
        ("prefix = \"a:b\"", "5:10: shared.prefix: found \"a:b\"; write letters, digits"),
        ("host = \"valkey\"", "5:1: unknown key \"host\" in [shared]; did you mean \"url\"?"),
    ] {
        let problems = problems(&format!("{PAIR}[shared]\n{lines}\n"));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&format!("proxy.toml:{message}")), "{problems:#?}");
        assert!(!problems[0].contains("hunter2"), "{problems:#?}");
    }
}

#[test]
fn roots_without_tls_are_reported() {
    let lines = "[shared]\nurl = \"redis://valkey\"\nsecret_file = \"s\"\nca = \"ca.crt\"\n";
    let warnings = parse(&format!("{PAIR}{lines}")).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.starts_with("shared.ca has no effect unless"), "{warnings:?}");
}

#[test]
fn tokens_of_one_replica_that_the_next_refuses_are_reported() {
    let warnings = |more: &str| {
        let text =
            format!("{PAIR}[server]\ntrusted_proxies = ['10.0.0.0/8']\n[auth]\nmode = 'token'\n{more}");
        let warnings = parse(&text).unwrap().warnings;
        warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let told = warnings("[token]\nttl = '5m'\n");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].starts_with("proxy.toml:8:1: token.key is missing, so behind a load balancer"),
        "{told:?}"
    );
    assert_eq!(warnings("[token]\nkey = 'token.key'\n"), [""; 0]);
    assert_eq!(warnings("[shared]\nurl = 'redis://valkey'\nsecret_file = 's'\n"), [""; 0]);
}
