//! `[upstream]`: the login, the path and the names of the registry.

use super::*;

#[test]
fn a_login_for_the_registry_is_complete() {
    let basic = "[upstream]\nauthorization = \"basic\"\n";
    let missing = problems(&format!("{PAIR}{basic}user = \"door\""));
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(missing[0].contains("upstream.password_file is missing"), "{missing:?}");
    let both = problems(&format!("{PAIR}{basic}"));
    assert!(both.iter().any(|problem| problem.contains("upstream.user is missing")), "{both:?}");
    let colon = problems(&format!("{PAIR}{basic}user = \"a:b\"\npassword_file = \"p\""));
    assert!(
        colon[0].contains("upstream.user: found \"a:b\"; write a user name without a colon"),
        "{colon:?}"
    );

    let login = "user = \"door\"\npassword_file = \"p\"\n";
    let config = parse(&format!("{PAIR}{basic}{login}")).unwrap();
    assert_eq!(config.warnings, []);
    assert!(config.watched_files().contains(&"p".into()));
    let config = parse(&format!("{PAIR}[upstream]\n{login}")).unwrap();
    assert!(!config.watched_files().contains(&"p".into()));
}

#[test]
fn a_path_in_the_address_of_the_registry_stands_before_v2() {
    let at = |url: &str| parse(&format!("{PAIR}[upstream]\nservers = [\"{url}\"]\n"));
    for (url, path) in [
        ("http://registry:5000", ""),
        ("http://registry:5000/", ""),
        ("http://registry:8081/artifactory/api/docker/local", "/artifactory/api/docker/local"),
        ("https://registry/a.b/c_d/", "/a.b/c_d"),
        ("unix:///run/r.sock", ""),
    ] {
        assert_eq!(at(url).unwrap().upstream.path, path, "{url}");
    }
    for (url, reason) in [
        ("http://registry/v2/", "the path is what stands before /v2/"),
        ("http://registry/a/v2/b", "the path is what stands before /v2/"),
        ("http://registry/a//b", "the path has to be / and names"),
        ("http://registry/../b", "the path has to be / and names"),
        ("http://registry/a?b", "the path has to be / and names"),
        ("http://registry/%61", "the path has to be / and names"),
    ] {
        let problem = at(url).unwrap_err().0[0].to_string();
        assert!(problem.contains(reason), "{url}: {problem}");
    }
}

#[test]
fn a_socket_a_query_and_a_url_for_a_host_are_named_as_what_they_are() {
    for (line, reason) in [
        ("servers = [\"/run/registry.sock\"]", "unix: is missing before the path of a socket"),
        ("servers = [\"http://registry:5000?x=1\"]", "a query is not allowed here"),
        ("host = \"http://registry\"", "a host is not a URL"),
    ] {
        let problem = parse(&format!("{PAIR}[upstream]\n{line}\n")).unwrap_err().0[0].to_string();
        assert!(problem.contains(reason), "{line}: {problem}");
    }
}

#[test]
fn a_key_without_the_one_that_it_needs_is_reported() {
    let told = |lines: &str| {
        let config = parse(&format!("{PAIR}[upstream]\n{lines}\n")).unwrap();
        config.warnings.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(
        told("user = \"door\"\npassword_file = \"p\""),
        [
            "proxy.toml:5:8: upstream.user has no effect unless upstream.authorization is \"basic\"; set that, or \
             remove the key",
            "proxy.toml:6:17: upstream.password_file has no effect unless upstream.authorization is \"basic\"; set \
             that, or remove the key",
        ]
    );
    assert_eq!(
        told("ca = \"ca.crt\""),
        [
            "proxy.toml:5:6: upstream.ca has no effect unless upstream.servers begins with https://; write that, or \
             remove the key"
        ]
    );
    assert_eq!(told("servers = [\"https://r\"]\nca = \"ca.crt\""), [""; 0]);
    assert_eq!(told("user = \"\"\nca = \"\""), [""; 0]);
}

#[test]
fn the_host_and_the_token_path_of_the_registry_are_plain() {
    let with = |line: &str| parse(&format!("{PAIR}[upstream]\n{line}\n"));
    let upstream = with("host = \"[::1]:5000\"\ntoken_path = \"/service/token\"").unwrap().upstream;
    assert_eq!(upstream.host.as_deref(), Some("[::1]:5000"));
    assert_eq!(upstream.token_path.as_deref(), Some("/service/token"));
    for line in [
        "host = \"http://a\"",
        "host = \"a b\"",
        "host = \"a:0x1\"",
        "token_path = \"token\"",
        "token_path = \"/a?b\"",
    ] {
        assert!(with(line).is_err(), "{line}");
    }
}

#[test]
fn several_servers_say_how_uploads_stay_together() {
    let two = "[upstream]\nservers = [\"http://a\", \"https://b\"]\n";
    for (keys, count) in [
        ("", 1),
        ("balance = \"round-robin\"", 1),
        ("shared_storage = true", 0),
        ("balance = \"hash\"", 0),
        ("balance = \"hash\"\nshared_storage = true", 0),
    ] {
        let config = parse(&format!("{PAIR}{two}{keys}")).unwrap();
        assert_eq!(config.warnings.len(), count, "{keys}");
    }
    let config = parse(&format!("{PAIR}{two}")).unwrap();
    assert!(
        config.warnings[0].to_string().starts_with("proxy.toml:5:11: upstream.servers: an upload is several")
    );
}

#[test]
fn what_cannot_be_servers_of_one_registry_is_named() {
    for (keys, reason) in [
        ("servers = []", "an empty list"),
        ("servers = [\"http://a\", \"http://a:80\"]", "this is already in the list"),
        ("servers = [\"http://a/x\", \"http://b/y\"]", "http://b/y has another path than the first server"),
        ("balance = \"random\"", "\"least-connections\", \"round-robin\" or \"hash\""),
        ("connections = 0", "a whole number from 1 to"),
        ("resolve_every = \"0s\"", "resolve_every"),
        ("health_path = \"v2\"", "the path has to be /"),
    ] {
        let problem = parse(&format!("{PAIR}[upstream]\n{keys}\n")).unwrap_err().0[0].to_string();
        assert!(problem.contains(reason), "{keys}: {problem}");
    }
}
