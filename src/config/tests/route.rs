//! `[[route]]`: what it needs, what it takes from `[upstream]`, and what gets no request.

use super::*;

fn with(lines: &str) -> Result<Config, Problems> {
    parse(&format!("{PAIR}{lines}"))
}

fn warnings(lines: &str) -> Vec<String> {
    with(lines).unwrap().warnings.iter().map(|warning| warning.message.clone()).collect()
}

#[test]
fn what_a_route_leaves_out_is_that_of_upstream_except_for_what_describes_its_registry() {
    let config = with(
        "[upstream]\nservers = ['https://a']\nhost = 'a.test'\nca = 'a.pem'\ntoken_path = '/t'\nread_timeout = '7s'\nbalance = 'hash'\nshared_storage = true\nconnections = 9\n\
         authorization = 'pass'\n[[route]]\nrepositories = ['hub/**']\nservers = ['https://b/x']\nstrip = 'hub/'\n\
         [[route]]\nhosts = ['B.test.']\nservers = ['http://c']\nca = ''\nauthorization = 'none'\n",
    )
    .unwrap();
    assert_eq!(config.warnings, []);
    let [mirror, other] = &*config.routes else { panic!("{:?}", config.routes) };
    let upstream = &mirror.upstream;
    assert_eq!((upstream.servers[0].to_string(), &*upstream.path), ("https://b".to_owned(), "/x"));
    assert_eq!((&upstream.host, &upstream.token_path), (&None, &None));
    assert_eq!((upstream.balance, upstream.connections), (Balance::Hash, 9));
    assert!(!upstream.shared_storage);
    assert_eq!((&upstream.ca, upstream.read_timeout), (&Some("a.pem".into()), Duration::from_secs(7)));
    assert_eq!(upstream.authorization, UpstreamAuthorization::Pass);
    assert_eq!((&*mirror.strip, &*mirror.hosts), ("hub/", &[][..]));
    assert_eq!((&*other.hosts, &*other.repositories), (&["b.test".to_owned()][..], &[][..]));
    assert_eq!((&other.upstream.ca, other.upstream.authorization), (&None, UpstreamAuthorization::None));
}

#[test]
fn a_route_that_cannot_work_is_refused_and_says_what_to_write() {
    for (lines, told) in [
        (
            "servers = ['http://b']",
            "route: neither repositories nor hosts says what this registry gets; write",
        ),
        ("repositories = ['a/**']", "route.servers is missing; write servers = [\"http://mirror:5000\"]"),
        ("repositories = []\nservers = ['http://b']", "route.repositories: found an empty list; write"),
        ("hosts = ['a:5000']\nservers = ['http://b']", "route.hosts: found \"a:5000\" (a name has no port)"),
        ("repositories = ['${user}/**']\nservers = ['http://b']", "(the registry cannot depend on the user)"),
        ("hosts = ['a']\nstrip = 'hub/'\nservers = ['http://b']", "write repositories = [\"hub/**\"]"),
        (
            "repositories = ['hub/**', 'a/*']\nstrip = 'hub/'\nservers = ['http://b']",
            "route.repositories: \"a/*\" does not begin with \"hub/\", which route.strip removes; write \"hub/**\"",
        ),
        (
            "repositories = ['hub']\nstrip = 'hub/'\nservers = ['http://b']",
            "\"hub\" does not begin with \"hub/\"",
        ),
        ("repositories = ['hub/**']\nstrip = 'hub'\nservers = ['http://b']", "(the / at its end is missing)"),
        (
            "repositories = ['hub/**']\nstrip = '/'\nservers = ['http://b']",
            "(no repository has a name that begins so)",
        ),
        (
            "repositories = ['a/**']\nservers = ['http://b']\nauthorization = 'basic'",
            "route.user is missing, which route.authorization = \"basic\" needs",
        ),
        (
            "repositories = ['a/**']\nservers = ['http://b']\nread_timeout = '1s'",
            "unknown key \"read_timeout\" in [[route]]",
        ),
    ] {
        let problems = with(&format!("[[route]]\n{lines}\n")).unwrap_err().to_string();
        assert!(problems.contains(told), "{lines}: {problems}");
    }
}

#[test]
fn the_login_of_upstream_is_never_that_of_a_route() {
    let basic = "[upstream]\nauthorization = 'basic'\nuser = 'door'\npassword_file = 'p'\n";
    let route = "[[route]]\nrepositories = ['hub/**']\nservers = ['http://b']\n";
    let problems = with(&format!("{basic}{route}")).unwrap_err().to_string();
    assert!(
        problems.contains("route.authorization is missing: this registry does not get the user"),
        "{problems}"
    );
    let config = with(&format!("{basic}{route}authorization = 'none'\n")).unwrap();
    assert_eq!((&config.routes[0].upstream.user, &config.routes[0].upstream.password_file), (&None, &None));
    let own = "authorization = 'basic'\nuser = 'other'\npassword_file = 'o'\n";
    let config = with(&format!("{basic}{route}{own}")).unwrap();
    assert_eq!(config.routes[0].upstream.user.as_deref(), Some("other"));
    assert!(config.watched_files().contains(&"o".into()));
}

#[test]
fn a_route_that_gets_no_request_is_reported() {
    const TAKEN: &str = "route: an earlier [[route]] takes everything that this one is for; put this one before it, or \
                         remove it";
    let both = |first: &str, second: &str| {
        warnings(&format!(
            "[[route]]\n{first}\nservers = ['http://a']\n[[route]]\n{second}\nservers = ['http://b']\n"
        ))
    };
    for (first, second) in [
        ("repositories = ['**']", "repositories = ['hub/**']"),
        ("repositories = ['hub/**', 'x']", "repositories = ['hub/a/*', 'x', 'hub/b']"),
        ("hosts = ['a.test', 'b.test']", "hosts = ['b.test']\nrepositories = ['hub/**']"),
        ("repositories = ['hub/**']", "repositories = ['hub/**']\nhosts = ['a.test']"),
    ] {
        assert_eq!(both(first, second), [TAKEN], "{first} {second}");
    }
    for (first, second) in [
        ("repositories = ['hub/**']", "repositories = ['**']"),
        ("repositories = ['hub/**']", "repositories = ['hubs/**']"),
        ("repositories = ['hub/*']", "repositories = ['hub/**']"),
        ("repositories = ['**']\nhosts = ['a.test']", "repositories = ['hub/**']"),
        ("hosts = ['a.test']", "hosts = ['a.test', 'b.test']"),
    ] {
        assert_eq!(both(first, second), [""; 0], "{first} {second}");
    }
}

#[test]
fn a_host_that_is_not_served_is_reported() {
    let names = "[server]\nnames = ['a.test']\n";
    let route = "[[route]]\nhosts = ['A.test', 'b.test']\nservers = ['http://b']\n";
    assert_eq!(
        warnings(&format!("{names}{route}")),
        ["route.hosts: b.test is not in server.names, so requests for it get 421; add it there"]
    );
    assert_eq!(warnings(route), [""; 0]);
}

#[test]
fn all_routes_are_one_variable_of_the_environment() {
    let variable = |value: &str| {
        let variable = ("TIDEGATE_ROUTE".to_owned(), value.to_owned());
        Config::parse(Path::new("proxy.toml"), PAIR, &[variable])
    };
    let config = variable("[{ repositories = ['hub/**'], servers = ['http://b'] }]").unwrap();
    assert_eq!(config.routes.len(), 1);
    let problems = variable("http://b").unwrap_err().to_string();
    assert!(problems.contains("write a list of tables in TOML, such as [{ repositories"), "{problems}");
}
