//! Names of entries: RFC 4514.

/// A text that is the same for all spellings of a DN: with whatever case, spaces, escapes and order
/// of the parts of a multi-valued RDN. It may also be the same for two DNs, where a directory tells
/// capitals apart.
pub(crate) fn normal(dn: &str) -> String {
    let rdns = split(dn, &[',', ';']).into_iter().map(|rdn| {
        let mut parts: Vec<String> = split(rdn, &['+']).into_iter().map(part).collect();
        parts.sort_unstable();
        parts.join("+")
    });
    rdns.collect::<Vec<_>>().join(",")
}

/// The pieces between separators that are not escaped.
fn split<'a>(text: &'a str, separators: &[char]) -> Vec<&'a str> {
    let mut is_escaped = false;
    text.split(|c| {
        let separates = !is_escaped && separators.contains(&c);
        is_escaped = !is_escaped && c == '\\';
        separates
    })
    .collect()
}

/// `type=value`.
fn part(part: &str) -> String {
    let Some((kind, value)) = part.split_once('=') else { return words(part) };
    let kind = words(kind);
    let kind = kind.strip_prefix("oid.").unwrap_or(&kind);
    // What separates is escaped again, so that no value reads as two.
    let value = words(&unescaped(value)).replace('\\', "\\\\").replace(',', "\\,").replace('+', "\\+");
    format!("{kind}={value}")
}

/// Without what escapes the characters of a value.
fn unescaped(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|digits| str::from_utf8(digits).ok());
        let hex = hex.filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        let hex = hex.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (first, hex, tail.split_first()) {
            (b'\\', Some(byte), _) => {
                bytes.push(byte);
                rest = &tail[2..];
            }
            (b'\\', None, Some((escaped, tail))) => {
                bytes.push(*escaped);
                rest = tail;
            }
            _ => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// In lower case, with one space between words.
fn words(text: &str) -> String {
    text.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_name_are_equal() {
        let usual = normal("cn=Search Account+uid=s,ou=People,dc=example,dc=org");
        for other in [
            "CN=search account + UID=S , OU=people , DC=Example , DC=ORG",
            "uid=s+cn=Search  Account,ou=People;dc=example;dc=org",
            "cn=\\53earch\\20Account+uid=s,ou=\\50eople,dc=example,dc=org",
        ] {
            assert_eq!(normal(other), usual, "{other}");
        }
        assert_eq!(normal("cn=a\\,b,o=x"), normal("cn=a\\2cb,o=x"));
    }

    #[test]
    fn other_names_are_not() {
        for (one, other) in [
            ("cn=a,o=x", "cn=a,o=y"),
            ("cn=a\\,o=x", "cn=a,o=x"),
            ("cn=a\\+b=c,o=x", "cn=a+b=c,o=x"),
            ("cn=a,o=x", "cn=a"),
            ("cn=a\\\\,o=x", "cn=a\\,o=x"),
        ] {
            assert_ne!(normal(one), normal(other), "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".{0,60}") {
            _ = normal(&text);
        }
    }
}
