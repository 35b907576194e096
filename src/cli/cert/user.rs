//! The user that a client certificate stands for.

use std::fmt;
use std::str::FromStr;

use super::name::HostName;

/// A name that a registry can be told in a Basic header (RFC 7617), and that fits a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User(String);

/// Why a text is no such name; the sentence says what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// `build:1`
    #[error("a user's name has no colon: the registry is told name and password with a colon between them")]
    Colon,
    /// Empty, too long for X.520, or not printable.
    #[error("a user's name has 1 to 64 printable characters")]
    Length,
}

/// What a name is, beside being one, for the subject alternative name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `build1.example.com`, `build1`
    Host,
    /// `alice@example.com`
    Mail,
    /// Anything else.
    Plain,
}

impl User {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn kind(&self) -> Kind {
        match self.0.split_once('@') {
            Some((local, host)) if is_local_part(local) && is_host(host) => Kind::Mail,
            None if is_host(&self.0) => Kind::Host,
            _ => Kind::Plain,
        }
    }
}

impl FromStr for User {
    type Err = Unusable;

    fn from_str(text: &str) -> Result<Self, Unusable> {
        let name = text.trim();
        if name.contains(':') {
            return Err(Unusable::Colon);
        }
        match name.chars().count() {
            1..=64 if !name.chars().any(char::is_control) => Ok(Self(name.to_owned())),
            _ => Err(Unusable::Length),
        }
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Wildcards, addresses and a last dot are no names of a client.
fn is_host(text: &str) -> bool {
    !text.starts_with('*')
        && matches!(text.parse(), Ok(HostName::Dns(name)) if name.eq_ignore_ascii_case(text))
}

/// The `dot-string` of RFC 5321 section 4.1.2; nobody's address needs the quoted form.
fn is_local_part(text: &str) -> bool {
    text.split('.').all(|atom| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_a_host_a_mail_address_or_just_a_name() {
        for (text, kind) in [
            ("build1", Kind::Host),
            ("Build1.Example.com", Kind::Host),
            ("alice@example.com", Kind::Mail),
            ("a.l+ice@b", Kind::Mail),
            ("Alice Smith", Kind::Plain),
            ("bücher", Kind::Plain),
            ("10.0.0.5", Kind::Plain),
            ("*.example.com", Kind::Plain),
            ("example.com.", Kind::Plain),
            ("@developers", Kind::Plain),
            ("a b@example.com", Kind::Plain),
            ("a@b@example.com", Kind::Plain),
        ] {
            let user: User = text.parse().unwrap();
            assert_eq!((user.as_str(), user.kind()), (text, kind));
        }
        assert_eq!(" build1\n".parse::<User>().unwrap().as_str(), "build1");
        assert_eq!("ü".repeat(64).parse::<User>().unwrap().as_str().chars().count(), 64);
    }

    #[test]
    fn what_no_registry_can_be_told_is_refused() {
        for (text, expected) in [
            ("build:1", Unusable::Colon),
            ("::1", Unusable::Colon),
            ("", Unusable::Length),
            (" ", Unusable::Length),
            ("a\tb", Unusable::Length),
            (&"x".repeat(65), Unusable::Length),
        ] {
            assert_eq!(text.parse::<User>(), Err(expected), "{text}");
        }
    }
}
