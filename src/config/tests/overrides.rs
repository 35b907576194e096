//! Environment variables override the file.

use super::super::environment::Environment;
use super::*;
use crate::user::User;

fn parse_with(text: &str, variables: &[(&str, &str)]) -> Result<Config, Vec<String>> {
    let variables: Vec<_> = variables.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    Config::parse(Path::new("conf/proxy.toml"), text, &variables)
        .map_err(|problems| problems.0.iter().map(ToString::to_string).collect())
}

#[test]
fn variables_win_over_the_file() {
    let config = parse_with(
        "[server]\nlisten = [3]\nthreads = 2\n[auth]\nmode = \"basic\"\n",
        &[
            ("TIDEGATE_SERVER_LISTEN", "127.0.0.1:1, [::1]:2,"),
            ("TIDEGATE_SERVER_NAMES", ""),
            ("TIDEGATE_LIMITS_HEADER_BYTES", "16384"),
            ("TIDEGATE_LIMITS_IDLE_TIMEOUT", "5s"),
            ("TIDEGATE_TLS_CERTIFICATE", "c.crt"),
            ("TIDEGATE_TLS_KEY", "/run/secrets/key"),
            ("TIDEGATE_UPSTREAM_SERVERS", "http://registry:5000"),
            ("TIDEGATE_AUTH_MODE", "off"),
            ("TIDEGATE_AUTH_LEGACY_HASHES", "true"),
            ("TIDEGATE_AUTH_CACHE_SIZE", "12"),
            ("TIDEGATE_CORS_ORIGINS", "https://a.test,http://localhost:3000"),
            ("TIDEGATE_USER_AGENTS_DENY", "^a{1,3}\n^b\n"),
            ("TIDEGATE_SERVER_ADMIN", "127.0.0.1:9443, unix:/run/a"),
            ("TIDEGATE_ADMIN_ALLOW", "10.0.0.0/8,192.0.2.7"),
            ("TIDEGATE_METRICS_REPOSITORIES", "a/**,b/*"),
            ("TIDEGATE_SHARED_URL", "redis://valkey"),
            ("TIDEGATE_SHARED_SECRET_FILE", "secret"),
        ],
    )
    .unwrap();
    assert_eq!(config.server.listen.len(), 2);
    assert_eq!(config.server.threads, 2);
    assert_eq!(config.server.admin[1].to_string(), "unix:/run/a");
    assert_eq!((config.admin.allow.len(), config.metrics.repositories.len()), (2, 2));
    assert_eq!(config.shared.url.unwrap().host, "valkey");
    assert_eq!(config.limits.header_bytes, 16384);
    assert_eq!(config.limits.idle_timeout, Duration::from_secs(5));
    assert_eq!(config.tls.certificates[0].certificate, Path::new("conf/c.crt"));
    assert_eq!(config.tls.certificates[0].key, Path::new("/run/secrets/key"));
    assert_eq!(config.upstream.servers[0].authority().to_string(), "registry:5000");
    assert_eq!(config.auth.mode, AuthMode::Off);
    assert!(config.auth.legacy_hashes);
    assert_eq!(config.auth.cache_size, 12);
    assert_eq!(config.cors.origins.len(), 2);
    assert_eq!(config.user_agents.deny[0].as_str(), "^a{1,3}");
    assert_eq!(config.user_agents.deny[1].as_str(), "^b");
}

#[test]
fn a_list_of_certificates_is_written_as_in_the_file() {
    let list = "[{ certificate = 'a.crt', key = 'a.key' }, { certificate = 'b.crt', key = 'b.key' }]";
    let config = parse_with("", &[("TIDEGATE_TLS_CERTIFICATES", list)]).unwrap();
    assert_eq!(config.tls.certificates[1].key, Path::new("conf/b.key"));
    for (bad, message) in [
        ("a.crt", r#"tls.certificates: found "a.crt"; write a list such as"#),
        ("[{ certificate = 'a.crt' }]", "tls.certificates.key is missing; write key"),
    ] {
        let problems = parse_with("", &[("TIDEGATE_TLS_CERTIFICATES", bad)]).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("environment: TIDEGATE_TLS_CERTIFICATES: "), "{problems:?}");
        assert!(problems[0].contains(message), "{problems:?}");
    }
}

#[test]
fn rules_and_groups_come_from_the_environment() {
    let rules = "[{ users = ['@team', 'carol'], repositories = ['${user}/**'], actions = ['*'] }]";
    let text = "[[access]]\nusers = 5\n[groups]\nteam = ['bob']\n";
    let variables = [
        ("TIDEGATE_ACCESS", rules),
        ("TIDEGATE_GROUPS_TEAM", "alice, ann"),
        ("TIDEGATE_POLICY_READ_ONLY", "true"),
        ("TIDEGATE_POLICY_IMMUTABLE_TAGS", "a/**:v*, **:1.*"),
        ("TIDEGATE_POLICY_IMMUTABLE_REFERRERS", "true"),
        ("TIDEGATE_TOKEN_TTL", "2m"),
        ("TIDEGATE_AUTH_THROTTLE_FAILURES", "3"),
        ("TIDEGATE_AUTH_MODE", "token"),
    ];
    let config = parse_with(&format!("{text}{PAIR}"), &variables).unwrap();
    let [rule] = config.access.as_slice() else { panic!("{:?}", config.access) };
    assert_eq!(rule.place, "environment: TIDEGATE_ACCESS");
    assert_eq!(
        rule.subjects,
        ["alice", "ann", "carol"].map(|name| Subject::User(User::local(name).unwrap()))
    );
    assert!(config.policy.read_only && config.policy.immutable_tags.len() == 2);
    assert!(config.policy.immutable_referrers);
    assert_eq!((config.token.ttl, config.auth.throttle.failures), (Duration::from_mins(2), 3));
}

#[test]
fn wrong_rules_in_the_environment_are_named() {
    for (name, value, message) in [
        ("TIDEGATE_ACCESS", "", r#"access: found ""; write a list of tables in TOML, such as [{ users = "#),
        ("TIDEGATE_ACCESS", "[]", "access: found an empty list; write a list of tables in TOML"),
        ("TIDEGATE_ACCESS", "[{ users = ['@x'] }]", r#"access.users: found "@x" (there is no group "x""#),
        (
            "TIDEGATE_ACCESS_USERS",
            "alice",
            "all of [[access]] is one variable, TIDEGATE_ACCESS; write a list of tables",
        ),
        (
            "TIDEGATE_GROUPS",
            "team=alice",
            "each group has its own variable; for one called developers, write TIDEGATE_GROUPS_",
        ),
        ("TIDEGATE_GROUPS_TEAM", "*", r#"groups.team: found "*" (it is not a single user"#),
    ] {
        let problems = parse_with(PAIR, &[(name, value)]).unwrap_err();
        let start = format!("environment: {name}: {message}");
        assert!(problems.iter().any(|problem| problem.starts_with(&start)), "{problems:?}");
    }
}

#[test]
fn a_misspelt_variable_is_refused_with_the_right_spelling() {
    for (name, advice) in [
        ("TIDEGATE_SERVR_LISTEN", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("tidegate_server_listen", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("TIDEGATE_LISTEN", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("TIDEGATE_UPSTREAMSERVERS", "unknown variable; did you mean TIDEGATE_UPSTREAM_SERVERS?"),
        ("TIDEGATE__SERVER__LISTEN", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("TIDEGATE_USERAGENTS_DENY", "unknown variable; did you mean TIDEGATE_USER_AGENTS_DENY?"),
        ("TIDEGATE_ACESS", "unknown variable; did you mean TIDEGATE_ACCESS?"),
        ("TIDEGATE_GROUP_TEAM", "unknown variable; did you mean TIDEGATE_GROUPS_TEAM?"),
        ("TIDEGATE_HTPASSWD", "unknown variable; did you mean TIDEGATE_AUTH_HTPASSWD?"),
        ("TIDEGATE_SERVER", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("TIDEGATE_CONFG", "unknown variable; did you mean TIDEGATE_CONFIG?"),
        ("TIDEGATE_CONFIG_FILE", "unknown variable; did you mean TIDEGATE_CONFIG?"),
        ("TIDEGATE-SERVER-LISTEN", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("TIDEGATE.SERVER.LISTEN", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("TIDGATE_SERVER_LISTEN", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("TIDE_GATE_AUTH_MODE", "unknown variable; did you mean TIDEGATE_AUTH_MODE?"),
        ("TIDEGATESERVER_LISTEN", "unknown variable; did you mean TIDEGATE_SERVER_LISTEN?"),
        ("TIDEGTE_CONFIG", "unknown variable; did you mean TIDEGATE_CONFIG?"),
        ("TIDEGATE_HEALTH_PATH", "unknown variable; did you mean TIDEGATE_UPSTREAM_HEALTH_PATH?"),
    ] {
        let problems = parse_with(PAIR, &[(name, "alice")]).unwrap_err();
        assert_eq!(problems, [format!("environment: {name}: {advice}")]);
    }
}

#[test]
fn a_variable_with_a_control_character_in_its_name_cannot_act_on_the_terminal() {
    let problems = parse_with(PAIR, &[("TIDEGATE_\u{1b}AUTH_MODE", "basic")]).unwrap_err();
    let advice = "unknown variable; did you mean TIDEGATE_AUTH_MODE?";
    assert_eq!(problems, [format!("environment: TIDEGATE_\\u{{1b}}AUTH_MODE: {advice}")]);
}

#[test]
fn a_list_written_with_its_quotes_is_shown_without_control_characters_and_passwords() {
    let found = |text| parse_with(PAIR, &[("TIDEGATE_SERVER_NAMES", text)]).unwrap_err().concat();
    assert!(
        found("\u{1b}\"a\"").contains("found \\u{1b}\"a\" (in the environment"),
        "{}",
        found("\u{1b}\"a\"")
    );
    let with_password = found("\"http://user:hunter2@a/\"");
    assert!(with_password.contains("found \"http://...@a/\" ("), "{with_password}");
}

/// It may belong to another program, so it does not stop the start.
#[test]
fn a_variable_that_resembles_no_setting_is_a_warning() {
    let others =
        [("TIMEZONE", "UTC"), ("TIDEGATEWAY_VERSION", "2"), ("TIDEGATE_VERSION_OF_THE_IMAGE", "1.2")];
    let config = parse_with(PAIR, &others).unwrap();
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "environment: TIDEGATE_VERSION_OF_THE_IMAGE: this is not a setting, and has no effect; settings are \
          TIDEGATE_<SECTION>_<KEY>"
        ]
    );
}

#[test]
fn no_variable_of_a_key_is_taken_for_an_address_of_a_service() {
    let keys = known();
    for key in keys.0.iter().filter(|key| key.section != "tls.certificates") {
        let name = format!("TIDEGATE_{}_{}", key.section.replace('.', "_"), key.name).to_uppercase();
        let environment = Environment::new(&[(name.clone(), "tcp://x".to_owned())]);
        assert_eq!(environment.rest().count(), 1, "{name}");
    }
}

#[test]
fn quotes_and_brackets_of_a_shell_or_of_toml_are_reported() {
    let reason = "(in the environment, text has no quotes, and a list has commas but no brackets)";
    for (name, value, message) in [
        ("TIDEGATE_AUTH_MODE", "\"basic\"", format!("auth.mode: found \"basic\" {reason}; write ")),
        ("TIDEGATE_LIMITS_IDLE_TIMEOUT", "'5s'", format!("limits.idle_timeout: found '5s' {reason}; write ")),
        (
            "TIDEGATE_SERVER_LISTEN",
            "[\"0.0.0.0:443\"]",
            format!("server.listen: found [\"0.0.0.0:443\"] {reason}; write "),
        ),
    ] {
        let problems = parse_with(PAIR, &[(name, value)]).unwrap_err();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(&format!("environment: {name}: {message}")), "{problems:?}");
    }
}

#[test]
fn wrong_variables_are_named() {
    let problems = parse_with(
        PAIR,
        &[
            ("TIDEGATE_CONFIG", "x"),
            ("TIDEGATE_PORT", "5043"),
            ("TIDEGATE_SERVER_LISTN", "x"),
            ("TIDEGATE_LIMITS_HEADERS", "many"),
            ("TIDEGATE_SERVER_ADMIN", "localhost:80"),
            ("TIDEGATE_TLS_CLIENT_VERIFY", "always"),
            ("TIDEGATE_ACME_NAME", "a"),
        ],
    )
    .unwrap_err();
    let mut problems: Vec<&str> = problems.iter().map(String::as_str).collect();
    problems.sort_unstable();
    assert_eq!(
        problems,
        [
            r#"environment: TIDEGATE_ACME_NAME: unknown key "name" in [acme]; did you mean "names"?"#,
            r#"environment: TIDEGATE_LIMITS_HEADERS: limits.headers: found "many"; write a whole number from 1 to 10000, without quotes"#,
            r#"environment: TIDEGATE_SERVER_ADMIN: server.admin: found "localhost:80" (it is not a valid IP address and port; names are not looked up); write an IP address and a port, such as "127.0.0.1:9443", or a socket, such as "unix:/run/tidegate/admin.sock""#,
            r#"environment: TIDEGATE_SERVER_LISTN: unknown key "listn" in [server]; did you mean "listen"?"#,
            r#"environment: TIDEGATE_TLS_CLIENT_VERIFY: tls.client.verify: found "always"; write "off", "optional" or "required""#,
        ]
    );
}
