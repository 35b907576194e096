//! The user that a client certificate names.

use std::fmt;
use std::str::FromStr;

use super::name::HostName;
use crate::user::{BadName, User};

/// Characters that X.520 allows in a common name.
const LONGEST: usize = 64;

/// The name of a local user that fits into a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommonName(String);

/// Why a text cannot be the name in a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadCommonName {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("a name in a certificate has 1 to {LONGEST} printable characters")]
    X520,
}

/// The form of a name, which decides the subject alternative name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// `build1.example.com`, `build1`
    Host,
    /// `alice@example.com`
    Mail,
    /// Anything else.
    Plain,
}

impl CommonName {
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

impl FromStr for CommonName {
    type Err = BadCommonName;

    fn from_str(text: &str) -> Result<Self, BadCommonName> {
        let name = text.trim();
        User::local(name)?;
        if name.chars().count() > LONGEST || name.contains(char::is_control) {
            return Err(BadCommonName::X520);
        }
        Ok(Self(name.to_owned()))
    }
}

impl fmt::Display for CommonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Wildcards, IP addresses and names with a trailing dot do not name a client.
fn is_host(text: &str) -> bool {
    !text.starts_with('*')
        && matches!(text.parse(), Ok(HostName::Dns(name)) if name.eq_ignore_ascii_case(text))
}

/// The `dot-string` of RFC 5321 section 4.1.2; the quoted form is not in use.
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
            let user: CommonName = text.parse().unwrap();
            assert_eq!((user.as_str(), user.kind()), (text, kind));
        }
        assert_eq!(" build1\n".parse::<CommonName>().unwrap().as_str(), "build1");
        assert_eq!("ü".repeat(64).parse::<CommonName>().unwrap().as_str().chars().count(), 64);
    }

    #[test]
    fn what_no_registry_can_be_told_is_refused() {
        for (text, expected) in [
            ("build:1", BadName::Colon.into()),
            ("::1", BadName::Colon.into()),
            ("", BadName::Empty.into()),
            (" ", BadName::Empty.into()),
            ("a\tb", BadName::Control.into()),
            ("a\u{85}b", BadCommonName::X520),
            (&"x".repeat(65), BadCommonName::X520),
        ] {
            assert_eq!(text.parse::<CommonName>(), Err(expected), "{text}");
        }
    }
}
