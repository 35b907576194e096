//! `[token]`.

use super::*;

/// `[auth]` and `[token]` after a valid `[tls]`. The first of `lines` is line 7.
fn with(lines: &str) -> String {
    format!("{PAIR}[auth]\nmode = \"token\"\n[token]\n{lines}\n")
}

#[test]
fn identity_tokens_need_a_key_that_lasts() {
    let config = parse(&with("key = \"token.key\"")).unwrap();
    assert_eq!(config.auth.mode, AuthMode::Token);
    assert_eq!(config.token.key.as_deref(), Some(Path::new("token.key")));
    assert_eq!(config.token.refresh_ttl, Duration::from_hours(90 * 24));
    assert_eq!(parse(&with("ttl = \"2m\"")).unwrap().token.refresh_ttl, Duration::ZERO);
    assert_eq!(parse(&with("refresh_ttl = \"0s\"")).unwrap().token.refresh_ttl, Duration::ZERO);
    assert_eq!(
        problems(&with("refresh_ttl = \"1d\"")),
        [
            "proxy.toml:7:15: token.refresh_ttl: identity tokens need a key that lasts; write token.key, which \
             `tidegate token` makes, or refresh_ttl = \"0s\""
        ]
    );
}

#[test]
fn the_service_is_the_first_name_unless_written() {
    let names = "[server]\nnames = [\"Registry.Example\", \"other\"]";
    let service = |lines: &str| parse(&with(lines)).unwrap().token.service;
    assert_eq!(service(""), None);
    assert_eq!(service(names).as_deref(), Some("registry.example"));
    assert_eq!(service(&format!("service = \"Mine\"\n{names}")).as_deref(), Some("Mine"));
}

#[test]
fn a_key_that_signs_nothing_is_reported() {
    let config = parse(&format!("{PAIR}[token]\nkey = \"token.key\"\n")).unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "proxy.toml:5:7: token.key has no effect unless auth.mode is \"token\"; set that mode, or remove the key"
        ]
    );
    assert_eq!(parse(&with("key = \"token.key\"")).unwrap().warnings, []);
}

#[test]
fn tokens_that_a_registry_does_not_get_or_cannot_verify_are_reported() {
    let warnings = |lines: &str, authorization: &str| -> Vec<String> {
        let text = format!("{}[upstream]\nauthorization = \"{authorization}\"\n", with(lines));
        parse(&text).unwrap().warnings.iter().map(ToString::to_string).collect()
    };
    let pair = "key = \"token.key\"\ncertificate = \"token.crt\"";
    assert_eq!(warnings(pair, "pass"), [""; 0]);
    assert_eq!(warnings("key = \"token.key\"", "user"), [""; 0]);
    let told = warnings(pair, "user");
    assert!(
        told[0].starts_with("proxy.toml:8:15: token.certificate has no effect unless the registry receives"),
        "{told:?}"
    );
    let told = warnings("ttl = \"2m\"", "pass");
    assert!(
        told[0].starts_with("proxy.toml:6:1: token.key is missing, so every start makes a new key"),
        "{told:?}"
    );
    assert_eq!(told.len(), 1);
}

#[test]
fn mistakes_are_reported() {
    for (lines, message) in [
        (
            "certificate = \"token.crt\"",
            "7:15: token.certificate is set without token.key, so the registry would trust a key that is not used;",
        ),
        ("service = \"a b\"", r#"7:11: token.service: found "a b"; write printable ASCII without spaces"#),
        ("issuer = \"\"", r#"7:10: token.issuer: found ""; write printable ASCII"#),
        ("issuer = 'a\"b'", r#"7:10: token.issuer: found "a"b"; write printable ASCII"#),
        (
            "ttl = \"59s\"",
            r#"7:7: token.ttl: found "59s" (it is out of range); write a duration from "1m" to "1d", such as "15m" or "2h""#,
        ),
        ("refresh_ttl = \"3651d\"", r#"7:15: token.refresh_ttl: found "3651d" (it is out of range)"#),
        ("secret = \"x\"", r#"7:1: unknown key "secret" in [token]; "#),
    ] {
        let problems = problems(&with(lines));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&format!("proxy.toml:{message}")), "{problems:#?}");
    }
}
