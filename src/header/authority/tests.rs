use proptest::prelude::*;

use super::*;

fn name(name: &str) -> Host<'_> {
    Host::Name(name)
}

fn v6(address: &str) -> Host<'static> {
    Host::V6(address.parse().unwrap())
}

fn authority(text: &str) -> Option<Authority> {
    Authority::read(&HeaderValue::from_str(text).unwrap())
}

#[test]
fn hosts_and_ports() {
    for (text, host, port) in [
        ("localhost", name("localhost"), None),
        ("registry.example.com:5043", name("registry.example.com"), Some(5043)),
        ("my_registry", name("my_registry"), None),
        ("[::1]:443", v6("::1"), Some(443)),
        ("[2001:db8::1]", v6("2001:db8::1"), None),
        ("[::1]:", v6("::1"), None),
        ("127.0.0.1:1", name("127.0.0.1"), Some(1)),
        ("localhost:", name("localhost"), None),
        ("a:0080", name("a"), Some(80)),
    ] {
        assert_eq!(HostPort::parse(text), Ok(HostPort { host, port }), "{text}");
        let authority = authority(text).unwrap();
        assert_eq!(authority.as_str(), text);
        assert_eq!(authority.field(), text);
        assert_eq!(authority.host_port(), HostPort { host, port }, "{text}");
    }
}

#[test]
fn texts_that_are_neither() {
    use BadAuthority as B;
    for (text, expected) in [
        ("", B::Name("")),
        (":443", B::Name("")),
        ("a,b", B::Name("a,b")),
        ("a b", B::Name("a b")),
        ("u@a", B::Name("u@a")),
        ("u:p@a", B::PortNumber),
        ("a/b", B::Name("a/b")),
        ("a:b", B::PortNumber),
        ("a:+1", B::PortNumber),
        ("a:1:2", B::PortNumber),
        ("a:99999", B::PortRange),
        ("[::1", B::OpenBracket),
        ("[x]", B::NotV6),
        ("[::1]x:1", B::AfterBracket),
        ("::1", B::NoBrackets),
        ("2001:db8::1", B::NoBrackets),
    ] {
        assert_eq!(HostPort::parse(text), Err(expected), "{text}");
        assert!(authority(text).is_none(), "{text}");
    }
}

#[test]
fn a_host_can_be_written_in_more_than_one_way() {
    assert_eq!(name("Registry.Example"), name("registry.example"));
    assert_eq!(name("a."), name("A"));
    assert_ne!(name("a.."), name("a"));
    assert_eq!(v6("::ffff:192.0.2.1"), name("192.0.2.1"));
    assert_eq!(name("192.0.2.1."), v6("::ffff:c000:201"));
    assert_ne!(v6("::192.0.2.1"), name("192.0.2.1"));
    assert_eq!(HostPort::parse("[0:0::1]"), HostPort::parse("[::1]"));
    assert!(name("A.").is("a") && name("A").is("a.") && !name("a").is("b"));
    assert!(v6("::ffff:192.0.2.1").is("192.0.2.1") && name("192.0.2.1").is("[::ffff:c000:201]"));
    assert!(v6("::1").is("[0::1]") && !v6("::1").is("::1") && !v6("::1").is("[::2]"));
    assert_eq!(Host::bare("::1"), v6("::1"));
    assert_eq!(Host::bare("10.0.0.1"), name("10.0.0.1"));
}

#[test]
fn a_missing_port_is_the_default_one() {
    let is = |one, other, default| {
        let filled = |text| HostPort::parse(text).unwrap().or_port(default);
        filled(one) == filled(other)
    };
    assert!(is("a", "A:443", 443) && is("a:", "a", 443) && is("[::1]:80", "[0::1]", 80));
    assert!(!is("a", "a:80", 443) && !is("a", "b", 443) && !is("a:1", "a:2", 443));
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "\\PC{0,20}|[a-z0-9:.\\[\\]@-]{0,20}") {
        if let Ok(read) = HostPort::parse(&text) {
            let text = read.to_string();
            prop_assert_eq!(HostPort::parse(&text), Ok(read));
        }
    }

    #[test]
    fn any_address_and_port_come_back(address: Ipv6Addr, port: Option<u16>) {
        let read = HostPort { host: Host::V6(address), port };
        let text = read.to_string();
        prop_assert_eq!(HostPort::parse(&text), Ok(read));
        let authority = authority(&text).unwrap();
        prop_assert_eq!(authority.host_port(), read);
    }

    #[test]
    fn any_name_and_port_come_back(host in "[A-Za-z0-9._-]{1,20}", port: Option<u16>) {
        let read = HostPort { host: Host::Name(&host), port };
        let text = read.to_string();
        prop_assert_eq!(HostPort::parse(&text), Ok(read));
        let authority = authority(&text).unwrap();
        prop_assert_eq!(authority.host_port(), read);
    }

    #[test]
    fn a_field_of_any_bytes_is_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
        if let Ok(field) = HeaderValue::from_bytes(&bytes) {
            let authority = Authority::read(&field);
            prop_assert!(authority.is_none_or(|authority| authority.as_str().as_bytes() == bytes));
        }
    }
}
