use proptest::prelude::*;

use super::*;

fn written(text: &str, user: &str) -> Vec<u8> {
    Filter::parse(text).unwrap().of(user, "cn=Dev,o=x")
}

#[test]
fn filters_are_written_as_in_the_standard() {
    for (text, bytes) in [
        ("(uid=${user})", &b"\xa3\x0a\x04\x03uid\x04\x03joe"[..]),
        ("(uid=*)", b"\x87\x03uid"),
        ("(!(uid=x))", b"\xa2\x0a\xa3\x08\x04\x03uid\x04\x01x"),
        ("(&(a=1)(b>=2))", b"\xa0\x10\xa3\x06\x04\x01a\x04\x011\xa5\x06\x04\x01b\x04\x012"),
        ("(|(a<=1)(b~=2))", b"\xa1\x10\xa6\x06\x04\x01a\x04\x011\xa8\x06\x04\x01b\x04\x012"),
        ("(a=x*y*z)", b"\xa4\x0e\x04\x01a\x30\x09\x80\x01x\x81\x01y\x82\x01z"),
        ("(a=*${user})", b"\xa4\x0a\x04\x01a\x30\x05\x82\x03joe"),
        ("(a=\\2a\\C3\\bc)", b"\xa3\x08\x04\x01a\x04\x03*\xc3\xbc"),
        ("(a:1.2.3:=x)", b"\xa9\x0d\x81\x051.2.3\x82\x01a\x83\x01x"),
        ("(a:dn:=x)", b"\xa9\x09\x82\x01a\x83\x01x\x84\x01\xff"),
        ("(member=${dn})", b"\xa3\x14\x04\x06member\x04\x0acn=Dev,o=x"),
    ] {
        assert_eq!(written(text, "joe"), bytes, "{text}");
        assert_eq!(Filter::parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn the_usual_filter_of_active_directory_is_one() {
    let text =
        "(&(objectClass=user)(sAMAccountName=${user})(!(userAccountControl:1.2.840.113556.1.4.803:=2)))";
    let filter = Filter::parse(text).unwrap();
    assert!(filter.names_user() && !filter.names_dn());
    assert!(Filter::parse("(member:1.2.840.113556.1.4.1941:=${dn})").unwrap().names_dn());
}

#[test]
fn what_is_no_filter_is_refused_with_the_reason() {
    for (text, reason) in [
        ("", "it ends too early"),
        ("uid=${user}", "a filter begins with ("),
        ("(uid=${user}", "a ) is missing"),
        ("(uid=${user}))", "\")\" follows the filter"),
        ("(&)", "no filter follows &"),
        ("(uid)", "\"uid\" holds no ="),
        ("(=x)", "\"\" is not an attribute"),
        ("(u id=x)", "\"u id\" is not an attribute"),
        ("(uid=a(b)", "\"uid=a(b\" holds a (; a value writes it as \\28"),
        ("(uid=\\zz)", "two hexadecimal digits are missing behind a \\"),
        ("(uid=${name})", "only ${user} and ${dn} can stand there"),
        ("(a>=*)", "\"*\" holds a *; a value writes it as \\2a"),
        ("(a=**)", "\"**\" is nothing but *"),
        (":=x", "a filter begins with ("),
        ("(:=x)", "\"\" is not an attribute with a matching rule"),
    ] {
        assert_eq!(Filter::parse(text).unwrap_err(), reason, "{text}");
    }
    let deep = format!("{}(a=b){}", "(!".repeat(DEEPEST), ")".repeat(DEEPEST));
    assert!(Filter::parse(&deep).unwrap_err().starts_with("it holds filters within filters"));
}

#[test]
fn for_anybody_a_comparison_with_the_name_is_that_it_is_there() {
    let anybody = |text: &str| Filter::parse(text).unwrap().of_anybody();
    assert_eq!(anybody("(uid=${user})"), b"\x87\x03uid");
    assert_eq!(anybody("(mail=${user}@*)"), b"\x87\x04mail");
    assert_eq!(anybody("(a=1)"), written("(a=1)", ""));
}

#[test]
fn names_of_attributes() {
    for name in ["uid", "sAMAccountName", "1.2.840.113556.1.4.803", "cn;lang-de", "x-y"] {
        assert!(is_attribute(name), "{name}");
    }
    for name in ["", "1a", "a b", "a=b", "a)", "1..2", "cn;", "-a", "é"] {
        assert!(!is_attribute(name), "{name}");
    }
}

proptest! {
    /// The name is one value, of its length, whatever it holds.
    #[test]
    fn no_name_changes_what_is_asked(user in ".{0,60}") {
        let expected = comparison(EQUAL, "uid", user.as_bytes());
        prop_assert_eq!(written("(uid=${user})", &user), expected);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[()&|!=<>~:*\\\\${}a-z0-9é]{0,40}") {
        if let Ok(filter) = Filter::parse(&text) {
            _ = (filter.of("a", "b"), filter.of_anybody());
        }
    }
}
