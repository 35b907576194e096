//! A name that a server certificate can bear.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::header::authority::within_brackets;

/// A host name, perhaps with `*` for its first label, or an IP address: what RFC 9525 lets a client look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostName {
    /// Lower case, without a trailing dot.
    Dns(String),
    /// Version 4 or 6.
    Address(IpAddr),
}

/// Why a text is no such name; the sentence says what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unusable {
    /// `https://registry.example.com`
    #[error("write the host name alone, without scheme and path")]
    Url,
    /// `registry.example.com:5000`
    #[error("write the host name without the port: a certificate is good for every port")]
    Port,
    /// `10.0.0.300`
    #[error("this is neither an IP address nor a host name: the last part of a host name is not a number")]
    Address,
    /// `*`, `*.com`, `a.*.com`, `r*.example.com`
    #[error("a wildcard stands for the whole first part of a name with at least two more: *.example.com")]
    Wildcard,
    /// Anything else.
    #[error(
        "a host name is made of letters, digits, hyphens and dots, 253 characters at most, 63 between two dots"
    )]
    Name,
}

impl FromStr for HostName {
    type Err = Unusable;

    fn from_str(text: &str) -> Result<Self, Unusable> {
        let bare = within_brackets(text).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address(address));
        }
        if text.contains('/') {
            return Err(Unusable::Url);
        }
        if text.contains(':') {
            return Err(Unusable::Port);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let plain = match name.strip_prefix("*.") {
            Some(parent) if parent.contains('.') => parent,
            Some(_) => return Err(Unusable::Wildcard),
            None => &name,
        };
        if plain.contains('*') {
            return Err(Unusable::Wildcard);
        }
        if name.len() > 253 || !plain.split('.').all(is_label) {
            return Err(Unusable::Name);
        }
        if plain.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(Unusable::Address);
        }
        Ok(Self::Dns(name))
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// RFC 1123 section 2.1, and the underscore that names inside compose networks have.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, Unusable> {
        text.parse().map(|name: HostName| name.to_string())
    }

    #[test]
    fn takes_host_names_wildcards_and_addresses() {
        for (text, expected) in [
            ("Registry.Example.COM", "registry.example.com"),
            ("registry.example.com.", "registry.example.com"),
            ("localhost", "localhost"),
            ("my_registry", "my_registry"),
            ("*.example.com", "*.example.com"),
            ("10.0.0.5", "10.0.0.5"),
            ("FD00::5", "fd00::5"),
            ("[::1]", "::1"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong_with_others() {
        for (text, expected) in [
            ("https://registry.example.com", Unusable::Url),
            ("registry.example.com:5000", Unusable::Port),
            ("10.0.0.300", Unusable::Address),
            ("*", Unusable::Wildcard),
            ("*.com", Unusable::Wildcard),
            ("r*.example.com", Unusable::Wildcard),
            ("*.*.example.com", Unusable::Wildcard),
            ("", Unusable::Name),
            (".", Unusable::Name),
            ("a..b", Unusable::Name),
            ("-a.example.com", Unusable::Name),
            ("bücher.example", Unusable::Name),
            (&"a".repeat(64), Unusable::Name),
            (&["a"; 128].join("."), Unusable::Name),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
