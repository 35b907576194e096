//! `[auth.http]`.

use super::*;

const URL: &str = "[auth.http]\nurl = \"https://auth.internal/check\"\n";

fn service(lines: &str) -> Service {
    parse(&format!("{PAIR}{lines}")).unwrap().auth.http.unwrap()
}

#[test]
fn a_url_turns_it_on() {
    let service = service(URL);
    assert_eq!(service.address.to_string(), "https://auth.internal/check");
    assert_eq!((service.ca, service.secret), (None, None));
    assert_eq!(service.user_header, "Remote-User");
    assert_eq!(service.group_header.as_deref(), Some("Remote-Groups"));
    assert_eq!((service.timeout, service.connections), (Duration::from_secs(3), 8));
    for off in ["", "[auth.http]\n", "[auth.http]\nurl = \"\"\ntimeout = \"1s\"\n"] {
        assert_eq!(parse(&format!("{PAIR}{off}")).unwrap().auth.http, None, "{off}");
    }
}

#[test]
fn it_is_printed_as_a_section_that_means_the_same() {
    let lines = "[auth.http]\nurl = \"unix:/run/auth.sock\"\nsecret = \"s\"\nuser_header = \"X-User\"\n\
                 group_header = \"\"\ntimeout = \"250ms\"\nconnections = 1\n";
    for lines in [lines, "[auth.http]\nurl = \"https://auth.internal\"\nca = \"/abs/root.pem\"\n"] {
        let config = parse(&format!("{PAIR}{lines}")).unwrap();
        assert_eq!(parse(&config.to_toml()).unwrap(), config, "{}", config.to_toml());
        let files = [Path::new("s"), Path::new("/abs/root.pem")];
        assert_eq!(config.watched_files().iter().filter(|file| files.contains(&file.as_path())).count(), 1);
    }
}

#[test]
fn variables_set_it() {
    let variables = [
        ("TIDEGATE_AUTH_HTTP_URL".into(), "http://127.0.0.1:1".into()),
        ("TIDEGATE_AUTH_HTTP_CONNECTIONS".into(), "3".into()),
    ];
    let config = Config::parse(Path::new("proxy.toml"), PAIR, &variables).unwrap();
    assert_eq!(config.auth.http.unwrap().connections, 3);
}

#[test]
fn mistakes_are_reported() {
    for (lines, message) in [
        ("timeout = \"1s\"\n", "4:1: auth.http.url is missing: without it nobody can be asked"),
        (
            "url = \"http://auth.internal\"\n",
            "5:7: auth.http.url: found \"http://auth.internal\" (passwords are sent to another machine under TLS only); \
             write the URL of a service",
        ),
        ("url = \"auth.internal\"\n", "5:7: auth.http.url: found \"auth.internal\" (https:// is missing"),
        (
            "url = \"https://a\"\nuser_header = \"Remote User\"\n",
            "6:15: auth.http.user_header: found \"Remote User\"; write the name of a header field",
        ),
        ("url = \"https://a\"\nuser_header = \"\"\n", "6:15: auth.http.user_header: found \"\""),
        (
            "url = \"https://a\"\ngroup_header = \"remote-user\"\n",
            "6:16: auth.http.group_header is the field of auth.http.user_header",
        ),
        (
            "url = \"https://a\"\ntimeout = \"2m\"\n",
            "6:11: auth.http.timeout: found \"2m\" (it is out of range)",
        ),
        ("url = \"https://a\"\nconnections = 0\n", "6:15: auth.http.connections: found the number 0;"),
        ("url = \"https://a\"\npassword = \"x\"\n", "6:1: unknown key \"password\" in [auth.http]"),
    ] {
        let problems = problems(&format!("{PAIR}[auth.http]\n{lines}"));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&format!("proxy.toml:{message}")), "{problems:#?}");
    }
}

#[test]
fn roots_without_tls_are_reported() {
    let lines = "[auth.http]\nurl = \"http://127.0.0.1:1\"\nca = \"ca.crt\"\n";
    let warnings = parse(&format!("{PAIR}{lines}")).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].message.starts_with("auth.http.ca has no effect unless"), "{warnings:?}");
}
