//! `[auth.ldap]`.

use super::*;

const LDAP: &str = "[auth.ldap]\nservers = ['ldaps://dc1']\nbase = 'dc=x'\n";

fn ldap(lines: &str) -> Ldap {
    parse(&format!("{PAIR}{LDAP}{lines}")).unwrap().auth.ldap.unwrap()
}

#[test]
fn there_is_no_directory_by_default() {
    assert_eq!(parse(PAIR).unwrap().auth.ldap, None);
    assert_eq!(parse(&format!("{PAIR}[auth.ldap]\nnested = 2\n")).unwrap().auth.ldap, None);
}

#[test]
fn three_lines_are_enough() {
    let read = ldap("");
    let shown = |server: &LdapServer| server.to_string();
    assert_eq!(read.servers.iter().map(shown).collect::<Vec<_>>(), ["ldaps://dc1"]);
    assert_eq!(
        (&read.bind_dn, &read.bind_password, &read.ca, &read.group_base),
        (&None, &None, &None, &None)
    );
    assert_eq!(read.filter.to_string(), "(uid=${user})");
    assert_eq!(read.group_filter.to_string(), "(member=${dn})");
    assert_eq!((read.user_attribute.as_str(), read.group_attribute.as_str()), ("uid", "cn"));
    assert_eq!((read.nested, read.connections, read.failures), (0, 4, 4));
    assert_eq!((read.timeout, read.window), (Duration::from_secs(3), Duration::from_mins(15)));
}

#[test]
fn servers_are_read_in_every_form_and_printed_in_one() {
    for (text, printed) in [
        ("ldaps://DC1.Example.com", "ldaps://dc1.example.com"),
        ("LDAPS://dc1:636/", "ldaps://dc1"),
        ("ldaps://dc1:3269", "ldaps://dc1:3269"),
        ("ldap://10.0.0.1", "ldap://10.0.0.1"),
        ("ldap://[::1]:389", "ldap://[::1]"),
        ("ldap://dc1:3268", "ldap://dc1:3268"),
        ("unix:/run/slapd/ldapi", "unix:/run/slapd/ldapi"),
        ("unix:///run/slapd/ldapi", "unix:/run/slapd/ldapi"),
    ] {
        let config = parse(&format!("{PAIR}[auth.ldap]\nservers = ['{text}']\nbase = 'dc=x'\n")).unwrap();
        assert_eq!(config.auth.ldap.unwrap().servers[0].to_string(), printed);
    }
}

#[test]
fn a_directory_prints_as_a_section_that_means_the_same() {
    let lines = "[auth.ldap]\nservers = ['ldap://dc1:1', 'unix:/s']\nca = 'ca.crt'\nbind_dn = 'cn=a\\,b,dc=x'\n\
                 bind_password = 'pw'\nbase = 'dc=x'\nfilter = '(mail=${user}@x)'\nuser_attribute = 'mail'\n\
                 group_base = 'ou=g,dc=x'\ngroup_filter = '(member:1.2:=${dn})'\ngroup_attribute = 'gid'\n\
                 nested = 5\ntimeout = '1s'\nconnections = 1\nfailures = 0\nwindow = '1s'\n";
    let config = parse(&format!("{PAIR}{lines}")).unwrap();
    assert_eq!(parse(&config.to_toml()).unwrap(), config, "{}", config.to_toml());
    assert_ne!(config.auth.ldap, Some(ldap("")));
    let watched: Vec<_> = config.watched_files().iter().map(|file| file.display().to_string()).collect();
    assert!(["ca.crt", "pw"].iter().all(|file| watched.contains(&(*file).to_owned())), "{watched:?}");
    assert_eq!(config.changed_at_restart(&parse(PAIR).unwrap()), [""; 0]);
}

#[test]
fn the_environment_names_a_directory() {
    let environment = [
        ("TIDEGATE_AUTH_LDAP_SERVERS", "ldaps://dc1,ldaps://dc2"),
        ("TIDEGATE_AUTH_LDAP_BASE", "dc=x"),
        ("TIDEGATE_AUTH_LDAP_FILTER", "(sAMAccountName=${user})"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let config = Config::parse(Path::new("proxy.toml"), PAIR, &environment).unwrap();
    let read = config.auth.ldap.unwrap();
    assert_eq!((read.servers.len(), read.filter.to_string().as_str()), (2, "(sAMAccountName=${user})"));
}

#[test]
fn mistakes_are_reported_with_what_to_write() {
    for (lines, message) in [
        ("servers = ['ldaps://dc1']", "4:1: auth.ldap.base is missing; write the DN below which users are"),
        ("base = 'dc=x'", "4:1: auth.ldap.servers is missing: without a server nobody can be asked"),
        ("base = 'x'", "5:8: auth.ldap.base: found \"x\" (it is not a DN); write the DN below"),
        (
            "filter = '(uid=*)'",
            "5:10: auth.ldap.filter: found \"(uid=*)\" (${user} is missing, so it would find",
        ),
        (
            "filter = 'uid=${user}'",
            "5:10: auth.ldap.filter: found \"uid=${user}\" (a filter begins with (); write",
        ),
        (
            "filter = '(&(uid=${user})(a=${dn}))'",
            "5:10: auth.ldap.filter: found \"(&(uid=${user})(a=${dn}))\" (${dn} is not known",
        ),
        (
            "group_filter = '(cn=x)'",
            "5:16: auth.ldap.group_filter: found \"(cn=x)\" (${dn} or ${user} is missing",
        ),
        (
            "user_attribute = 'u id'",
            "5:18: auth.ldap.user_attribute: found \"u id\"; write the name of an attribute",
        ),
        ("nested = 6", "5:10: auth.ldap.nested: found the number 6; write a whole number from 0 to 5"),
        ("timeout = '2m'", "5:11: auth.ldap.timeout: found \"2m\" (it is out of range)"),
        ("url = 'x'", "5:1: unknown key \"url\" in [auth.ldap]"),
    ] {
        let problems = problems(&format!("{PAIR}[auth.ldap]\n{lines}\n"));
        assert!(problems[0].starts_with(&format!("proxy.toml:{message}")), "{lines}: {problems:#?}");
    }
    for (server, reason) in [
        ("dc1", "ldaps:// or ldap:// is missing before the host"),
        ("ldapi:///s", "a socket is written as unix:/PATH"),
        ("https://dc1", "the scheme is not ldaps, ldap or unix"),
        ("ldaps://cn=a@dc1", "a user is not allowed here; see auth.ldap.bind_dn"),
        ("ldaps://dc1/dc=x?uid", "only a port may follow the host"),
        ("ldaps://dc1:0", "the port is not between 1 and 65535"),
        ("unix:s", "the path of a socket must begin with /"),
        ("/s", "unix: is missing before the path of a socket"),
    ] {
        let problems = problems(&format!("{PAIR}[auth.ldap]\nservers = ['{server}']\nbase = 'dc=x'\n"));
        assert!(problems[0].contains(&format!("({reason}")), "{problems:#?}");
    }
}

#[test]
fn keys_that_need_another_one_are_reported() {
    for (lines, message) in [
        ("bind_dn = 'cn=a'", "7:11: auth.ldap.bind_password is missing, the file with the password"),
        ("bind_password = 'pw'", "7:17: auth.ldap.bind_dn is missing, the account of the password"),
        (
            "nested = 1\ngroup_filter = '(memberUid=${user})'\ngroup_base = 'dc=x'",
            "7:10: auth.ldap.nested needs the members of a group as DNs",
        ),
    ] {
        let problems = problems(&format!("{PAIR}{LDAP}{lines}\n"));
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with(&format!("proxy.toml:{message}")), "{problems:#?}");
    }
    let warnings = |text: &str| parse(text).unwrap().warnings;
    let told = warnings(&format!("{PAIR}{LDAP}nested = 1\n"));
    assert!(told[0].message.starts_with("auth.ldap.nested has no effect without"), "{told:?}");
    let socket = "[auth.ldap]\nservers = ['unix:/s']\nbase = 'dc=x'\nca = 'ca.crt'\n";
    let told = warnings(&format!("{PAIR}{socket}"));
    assert!(told[0].message.starts_with("auth.ldap.ca has no effect"), "{told:?}");
}
