//! The names that a server certificate can hold.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use crate::header::authority::within_brackets;

/// A host name or an IP address (RFC 9525). The first label of a host name can be `*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum HostName {
    /// Lower case, without a trailing dot.
    Dns(String),
    Address(IpAddr),
}

/// Why a text is not such a name; the sentence says what to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadHostName {
    /// `https://registry.example.com`
    #[error("write the host name alone, without scheme and path")]
    Url,
    /// `registry.example.com:5000`
    #[error("write the host name without the port: a certificate is valid for every port")]
    Port,
    /// `10.0.0.300`
    #[error("not an IP address, and not a host name either: its last part cannot be a number")]
    Address,
    /// `*`, `*.com`, `a.*.com`, `r*.example.com`
    #[error(
        "a wildcard replaces the whole first part of a name that has at least two more, as in *.example.com"
    )]
    Wildcard,
    /// Anything else.
    #[error(
        "a host name has letters, digits, hyphens and dots: at most 253 characters, and 63 between two dots"
    )]
    Name,
}

impl FromStr for HostName {
    type Err = BadHostName;

    fn from_str(text: &str) -> Result<Self, BadHostName> {
        let bare = within_brackets(text).unwrap_or(text);
        if let Ok(address) = bare.parse() {
            return Ok(Self::Address(address));
        }
        if text.contains('/') {
            return Err(BadHostName::Url);
        }
        if text.contains(':') {
            return Err(BadHostName::Port);
        }
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        let plain = match name.strip_prefix("*.") {
            Some(parent) if parent.contains('.') => parent,
            Some(_) => return Err(BadHostName::Wildcard),
            None => &name,
        };
        if plain.contains('*') {
            return Err(BadHostName::Wildcard);
        }
        if name.len() > 253 || !plain.split('.').all(is_label) {
            return Err(BadHostName::Name);
        }
        if plain.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(BadHostName::Address);
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

/// RFC 1123 section 2.1, and the underscore, which names in compose networks can hold.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, BadHostName> {
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
            ("https://registry.example.com", BadHostName::Url),
            ("registry.example.com:5000", BadHostName::Port),
            ("10.0.0.300", BadHostName::Address),
            ("*", BadHostName::Wildcard),
            ("*.com", BadHostName::Wildcard),
            ("r*.example.com", BadHostName::Wildcard),
            ("*.*.example.com", BadHostName::Wildcard),
            ("", BadHostName::Name),
            (".", BadHostName::Name),
            ("a..b", BadHostName::Name),
            ("-a.example.com", BadHostName::Name),
            ("bücher.example", BadHostName::Name),
            (&"a".repeat(64), BadHostName::Name),
            (&["a"; 128].join("."), BadHostName::Name),
        ] {
            assert_eq!(parse(text), Err(expected), "{text}");
        }
    }
}
