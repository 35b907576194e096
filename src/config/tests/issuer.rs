//! `[[auth.issuer]]`, a list of tables within a section.

use super::*;

const GITLAB: &str = r#"[[auth.issuer]]
name = "gitlab"
url = "https://gitlab.example.com"
audience = ["registry.example.com"]
require = { project_path = "team/**", ref_protected = "true" }
user = "${project_path}"
"#;

/// Without a rule, every job would be allowed everything.
const RULE: &str = "\n[[access]]\nusers = [\"alice\"]\nrepositories = [\"**\"]\nactions = [\"pull\"]\n";

/// The settings of `lines` after a valid `[tls]`, which takes lines 1 to 3.
fn sound(lines: &str) -> Config {
    parse(&format!("{PAIR}{lines}{RULE}")).unwrap()
}

fn warnings(lines: &str) -> Vec<String> {
    sound(lines).warnings.iter().map(ToString::to_string).collect()
}

/// The only problem of `lines` after a valid `[tls]`.
fn problem(lines: &str) -> String {
    let problems = problems(&format!("{PAIR}{lines}{RULE}"));
    assert_eq!(problems.len(), 1, "{problems:#?}");
    problems[0].clone()
}

/// The only problem of the entry with one line instead of another.
fn instead(line: &str, other: &str) -> String {
    assert!(GITLAB.contains(line));
    problem(&GITLAB.replace(line, other))
}

#[test]
fn an_entry_means_what_it_says_and_is_printed_so() {
    let rest = r#"groups = "groups_direct"
ca = "gitlab.pem"
login_ttl = "0s"
[auth]
mode = "token"
[auth.throttle]
failures = 3
[[auth.issuer]]
name = "k8s-1"
url = "https://kubernetes.default.svc"
audience = ["a", "b"]
keys = "/etc/keys.json"
user = "${/kubernetes.io/namespace}/${sub}"
[auth.issuer.require]
"/kubernetes.io/namespace" = ["ci", "build-*"]
admin = [false, 7]
"#;
    let config = sound(&format!("{GITLAB}{rest}"));
    let [first, second] = config.auth.issuers.as_slice() else { panic!("{:?}", config.auth) };
    assert_eq!((first.place.as_str(), first.name.as_str()), ("proxy.toml:4:1", "gitlab"));
    assert_eq!(
        (first.url.as_str(), &first.audience[..]),
        ("https://gitlab.example.com", &["registry.example.com".to_owned()][..])
    );
    let text = |text: &str| Wanted::Text(text.to_owned());
    assert_eq!(first.require[&"ref_protected".parse().unwrap()], Condition(vec![text("true")]));
    assert_eq!(first.user.to_string(), "${project_path}");
    assert_eq!(first.groups.as_ref().map(ToString::to_string).as_deref(), Some("groups_direct"));
    assert_eq!((first.ca.as_deref(), first.login_ttl), (Some(Path::new("gitlab.pem")), Duration::ZERO));
    assert_eq!(
        (second.keys.as_deref(), second.login_ttl),
        (Some(Path::new("/etc/keys.json")), Duration::from_hours(1))
    );
    let namespaces = Condition(vec![text("ci"), text("build-*")]);
    assert_eq!(second.require[&"/kubernetes.io/namespace".parse().unwrap()], namespaces);
    let others = Condition(vec![Wanted::Flag(false), Wanted::Number(7)]);
    assert_eq!(second.require[&"admin".parse().unwrap()], others);
    assert_eq!(
        (config.auth.mode, config.auth.throttle.failures, config.warnings.len()),
        (AuthMode::Token, 3, 0)
    );

    let printed = config.to_toml();
    assert_eq!(parse(&printed).unwrap(), config, "{printed}");
    let watched = config.watched_files();
    assert!(watched.contains(&"gitlab.pem".into()) && !watched.contains(&"/etc/keys.json".into()));
}

#[test]
fn without_an_entry_there_is_no_issuer() {
    assert_eq!(sound("").auth.issuers, []);
    assert_eq!(sound("[auth]\nmode = \"token\"").auth.issuers, []);
    assert!(problem("[auth]\nissuer = []").starts_with("proxy.toml:5:10: auth.issuer: found an empty list"));
    let table = problem("[auth.issuer]\nname = \"gitlab\"");
    assert!(table.contains("auth.issuer: found a table; write [[auth.issuer]] above the keys"), "{table}");
    let misspelt = problem(&GITLAB.replace("[[auth.issuer]]", "[[auth.issuers]]"));
    assert!(misspelt.ends_with("did you mean [[auth.issuer]]?"), "{misspelt}");
}

#[test]
fn what_an_issuer_needs_is_asked_for() {
    let expected = [
        r#"proxy.toml:4:1: auth.issuer.name is missing; write name = "gitlab""#,
        r#"proxy.toml:4:1: auth.issuer.url is missing; write url = "https://gitlab.example.com""#,
        r#"proxy.toml:4:1: auth.issuer.audience is missing; write audience = ["registry.example.com"]"#,
        "proxy.toml:4:1: auth.issuer.require: it is missing, and so every token of the issuer would sign in",
        r#"proxy.toml:5:1: unknown key "audiences" in [[auth.issuer]]; did you mean "audience"?"#,
    ];
    let problems = problems(&format!("{PAIR}[[auth.issuer]]\naudiences = []\n"));
    assert_eq!(problems.len(), expected.len(), "{problems:#?}");
    for (problem, expected) in problems.iter().zip(expected) {
        assert!(problem.starts_with(expected), "{problem}\n{expected}");
    }
}

#[test]
fn every_job_is_somebody_without_a_requirement() {
    let line = r#"require = { project_path = "team/**", ref_protected = "true" }"#;
    let none = instead(line, "require = {}");
    assert!(
        none.starts_with("proxy.toml:8:11: auth.issuer.require: found none, and so every token"),
        "{none}"
    );
    for (written, found) in [
        (
            r#"require = "sub""#,
            "8:11: auth.issuer.require: found \"sub\"; write claims and what they must be",
        ),
        (r#"require = { sub = [] }"#, "8:19: auth.issuer.require: found an empty list for the claim sub"),
        (r#"require = { sub = [["a"]] }"#, "8:19: auth.issuer.require: found a list with something else"),
        (r#"require = { sub = 1.5 }"#, "8:19: auth.issuer.require: found the number 1.5 for the claim sub"),
        (r#"require = { a = { b = "c" } }"#, "8:17: auth.issuer.require: found a table for the claim a"),
        (
            r#"require = { "" = "a" }"#,
            "8:18: auth.issuer.require: found the claim \"\" (the name of a claim is empty)",
        ),
    ] {
        let problem = instead(line, written);
        assert!(problem.starts_with(&format!("proxy.toml:{found}")), "{problem}\n{found}");
    }
}

#[test]
fn wrong_values_are_named() {
    let url = r#"url = "https://gitlab.example.com""#;
    for (line, other, found) in [
        (url, r#"url = "http://gitlab.example.com""#, "(it does not begin with https://)"),
        (url, r#"url = "HTTPS://gitlab.example.com""#, "(it does not begin with https://)"),
        (url, r#"url = "https://gitlab.example.com?a""#, "(an issuer has neither a query nor a fragment)"),
        (url, r#"url = "https://a@gitlab.example.com""#, "auth.issuer.url: found"),
        (url, r#"url = "gitlab.example.com""#, "auth.issuer.url: found"),
        (r#"name = "gitlab""#, r#"name = "ldap""#, "(users of another source have this name before theirs)"),
        (
            r#"name = "gitlab""#,
            r#"name = "GitLab""#,
            "write a name of lower-case letters, digits and hyphens",
        ),
        (r#"name = "gitlab""#, r#"name = "a:b""#, "write a name of lower-case letters, digits and hyphens"),
        (r#"["registry.example.com"]"#, "[]", "auth.issuer.audience: found an empty list"),
        (r#"["registry.example.com"]"#, r#"[""]"#, "auth.issuer.audience: found \"\""),
        (r#""${project_path}""#, r#""ci""#, "(without a claim, all tokens would be the same user)"),
        (r#""${project_path}""#, r#""${sub""#, "(a ${ has no })"),
    ] {
        let problem = instead(line, other);
        assert!(problem.contains(found), "{problem}\n{found}");
    }
}

#[test]
fn two_issuers_of_one_name_or_url_are_refused() {
    let again = problem(&format!("{GITLAB}{}", GITLAB.replace("https://", "https://second.")));
    assert_eq!(
        again,
        r#"proxy.toml:10:1: auth.issuer.name: there is another "gitlab", at proxy.toml:4:1; keep one of the two"#
    );
    let again = problem(&format!("{GITLAB}{}", GITLAB.replace("\"gitlab\"", "\"second\"")));
    assert!(again.contains("auth.issuer.url: \"gitlab\" has this url as well"), "{again}");
    let slash =
        GITLAB.replace("example.com\"\naud", "example.com/\"\naud").replace("\"gitlab\"", "\"second\"");
    assert_eq!(sound(&format!("{GITLAB}{slash}")).auth.issuers.len(), 2, "they differ byte by byte");
}

#[test]
fn claims_the_user_can_set() {
    let line = r#"require = { project_path = "team/**", ref_protected = "true" }"#;
    let user = GITLAB.replace("${project_path}", "${email}");
    let message =
        "the claim email may hold an address that is not the user's; add email_verified = true to require";
    assert_eq!(warnings(&user), [format!("proxy.toml:9:8: auth.issuer.user: {message}")]);
    let required = |require: &str| GITLAB.replace(line, &format!("require = {require}"));
    let found = warnings(&required(r#"{ email = "*@example.com" }"#));
    assert_eq!(found, [format!("proxy.toml:8:11: auth.issuer.require: {message}")]);
    assert_eq!(warnings(&required(r#"{ email = "*@example.com", email_verified = true }"#)), [""; 0]);
    for not_enough in [r#""true""#, "[true, false]", "false"] {
        let require = format!(r#"{{ email = "*@example.com", email_verified = {not_enough} }}"#);
        assert_eq!(warnings(&required(&require)).len(), 1, "{require}");
    }
}

#[test]
fn a_root_certificate_beside_a_file_of_keys_has_no_effect() {
    let found = warnings(&format!("{GITLAB}ca = \"a.pem\"\nkeys = \"a.json\"\n"));
    assert!(found[0].starts_with("proxy.toml:10:6: auth.issuer.ca: this has no effect"), "{found:?}");
}

#[test]
fn the_environment_has_one_variable_for_all_issuers() {
    let parse = |variables: &[(&str, &str)]| {
        let variables: Vec<_> =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Config::parse(Path::new("proxy.toml"), &format!("{PAIR}{GITLAB}{RULE}"), &variables)
    };
    let issuers =
        parse(&[("TIDEGATE_AUTH_ISSUER", super::super::issuer::EXAMPLE), ("TIDEGATE_AUTH_MODE", "token")])
            .unwrap()
            .auth;
    assert_eq!((issuers.issuers.len(), issuers.mode), (1, AuthMode::Token));
    assert_eq!(issuers.issuers[0].place, "environment: TIDEGATE_AUTH_ISSUER");
    for (name, value, message) in [
        ("TIDEGATE_AUTH_ISSUER", "gitlab", r#"auth.issuer: found "gitlab"; write a list of tables in TOML"#),
        ("TIDEGATE_AUTH_ISSUER", "[{ name = 'a' }]", "auth.issuer.url is missing"),
        (
            "TIDEGATE_AUTH_ISSUER_URL",
            "a",
            "all of [[auth.issuer]] is one variable, TIDEGATE_AUTH_ISSUER; write a list",
        ),
        ("TIDEGATE_AUTH_ISUER", "a", "unknown key \"isuer\" in [auth]; did you mean [[auth.issuer]]?"),
    ] {
        let problems = parse(&[(name, value)]).unwrap_err().to_string();
        assert!(problems.contains(&format!("environment: {name}: {message}")), "{problems}");
    }
}

#[test]
fn entries_in_a_section_that_is_no_section_are_not_looked_for() {
    let found = problems(&format!("auth = 3\n{PAIR}"));
    assert_eq!(found.len(), 1, "{found:?}");
}
