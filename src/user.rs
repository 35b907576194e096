//! Who a request is from, once that is proven: the name of a user, and what a name may be.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Bytes of a local name. Registry clients send no longer ones.
const LONGEST: usize = 255;

/// The name of a user, cheap to clone. It is bytes, because a Basic header has no known encoding;
/// it is not empty and holds no ASCII control character.
///
/// A local user stands in the htpasswd file or has a client certificate, and their name has no
/// colon. A user of somebody else, a directory or an issuer of tokens, is called `source:name`.
/// So nobody from outside can take the name of a local user.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct User(Arc<[u8]>);

/// Why something cannot be the name of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("the user name is empty")]
    Empty,
    #[error("the user name holds a control character")]
    Control,
    #[error("a user name cannot hold a colon")]
    Colon,
    #[error("a user name cannot begin or end with a space")]
    Space,
    #[error("the user name is longer than {LONGEST} bytes")]
    Long,
}

impl User {
    /// A local name, or `source:name`; for a rule, or for a token that was issued here.
    pub(crate) fn parse(name: impl AsRef<[u8]>) -> Result<Self, BadName> {
        let name = name.as_ref();
        if name.is_empty() {
            Err(BadName::Empty)
        } else if name.iter().any(u8::is_ascii_control) {
            Err(BadName::Control)
        } else {
            Ok(Self(name.into()))
        }
    }

    /// A local name. A colon would end it in a Basic header (RFC 7617) and in an htpasswd file, and
    /// software on the way trims spaces.
    pub fn local(name: impl AsRef<[u8]>) -> Result<Self, BadName> {
        let name = name.as_ref();
        let user = Self::parse(name)?;
        if name.contains(&b':') {
            Err(BadName::Colon)
        } else if name.starts_with(b" ") || name.ends_with(b" ") {
            Err(BadName::Space)
        } else if name.len() > LONGEST {
            Err(BadName::Long)
        } else {
            Ok(user)
        }
    }

    /// The issuer of a user of somebody else: what stands before the first colon.
    pub(crate) fn issuer(&self) -> Option<&[u8]> {
        let colon = self.0.iter().position(|byte| *byte == b':')?;
        self.0.get(..colon)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// `None` for a name that is not UTF-8.
    pub(crate) fn as_str(&self) -> Option<&str> {
        str::from_utf8(&self.0).ok()
    }
}

/// What is not UTF-8 is replaced.
impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&String::from_utf8_lossy(&self.0))
    }
}

/// As a message shows it, in quotes.
impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&String::from_utf8_lossy(&self.0), f)
    }
}

/// So that a map of users can be asked about any bytes.
impl Borrow<[u8]> for User {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// The groups of a user from outside, those that rules name, cheap to clone. They are written as
/// in rules, without the `@`: `ldap:dev`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Groups(Option<Arc<BTreeSet<String>>>);

impl Groups {
    /// Those of `named` whose names stand in `wanted` with `source` and a colon before them.
    pub(crate) fn of<'a>(
        source: &str,
        named: impl IntoIterator<Item = &'a str>,
        wanted: &BTreeSet<String>,
    ) -> Self {
        let full = named.into_iter().map(|name| format!("{source}:{name}"));
        full.filter(|name| wanted.contains(name)).collect()
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.as_ref().is_some_and(|names| names.contains(name))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|names| names.iter().map(String::as_str))
    }
}

impl FromIterator<String> for Groups {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        let names: BTreeSet<String> = names.into_iter().collect();
        Self((!names.is_empty()).then(|| names.into()))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn local_names() {
        for name in [&b"alice"[..], b"a b", b"a@b.example", b"j\xf6rg", b"#a", b"\xc2\x85", &[b'x'; 255]] {
            assert_eq!(User::local(name).unwrap().as_bytes(), name);
        }
        for (name, expected) in [
            (&b""[..], BadName::Empty),
            (b"a:b", BadName::Colon),
            (b":", BadName::Colon),
            (b"a\nb", BadName::Control),
            (b"a\0", BadName::Control),
            (b"a\x7f", BadName::Control),
            (b" a", BadName::Space),
            (b"a ", BadName::Space),
            (&[b'x'; 256], BadName::Long),
        ] {
            assert_eq!(User::local(name), Err(expected), "{name:?}");
        }
    }

    #[test]
    fn names_of_other_sources() {
        for name in ["gitlab:team/app", "kubernetes:system:serviceaccount:ci:build", "alice", " a "] {
            assert_eq!(User::parse(name).unwrap().as_str(), Some(name));
        }
        assert_eq!(User::parse(""), Err(BadName::Empty));
        assert_eq!(User::parse("gitlab:\n"), Err(BadName::Control));
    }

    #[test]
    fn a_name_is_shown_as_text() {
        let user = User::local(b"j\xf6rg \"x\"").unwrap();
        assert_eq!(user.to_string(), "j\u{fffd}rg \"x\"");
        assert_eq!(format!("{user:?}"), r#""j�rg \"x\"""#);
        assert_eq!(user.as_str(), None);
    }

    proptest! {
        #[test]
        fn a_local_name_is_a_name_and_survives_a_basic_header(name in prop::collection::vec(any::<u8>(), 0..300)) {
            let Ok(user) = User::local(&name) else { return Ok(()) };
            prop_assert_eq!(User::parse(&name), Ok(user.clone()));
            let header = [user.as_bytes(), b":secret"].concat();
            prop_assert_eq!(header.split(|byte| *byte == b':').next(), Some(&name[..]));
            prop_assert_eq!(user.as_bytes().trim_ascii(), user.as_bytes());
        }

        #[test]
        fn what_no_rule_forbids_is_a_local_name(name in "[^\\p{Cc}: ]{1,60}") {
            prop_assert!(User::local(&name).is_ok());
            prop_assert_eq!(User::local(format!("source:{name}")), Err(BadName::Colon));
        }

        #[test]
        fn a_map_of_users_is_asked_by_bytes(name in prop::collection::vec(1u8..127, 1..20)) {
            let Ok(user) = User::parse(&name) else { return Ok(()) };
            let users = HashMap::from([(user, 1)]);
            prop_assert_eq!(users.get(&name[..]), Some(&1));
        }
    }
}
