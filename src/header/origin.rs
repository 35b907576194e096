//! Origins of web pages: RFC 6454 section 6.2, the `Origin` field.

use std::fmt;

use thiserror::Error;

use super::authority::{BadAuthority, HostPort};

/// The origin of a page: scheme, host and port. All spellings of an origin are equal: case, the
/// default port of the scheme, and those of a host.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    https: bool,
    /// A host, and a port unless it is the default one.
    place: String,
}

/// Why a text is not an origin, in words for the operator.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadOrigin {
    #[error("http:// or https:// is missing before the host")]
    NoScheme,
    #[error("the scheme is not http or https")]
    Scheme,
    #[error("\"null\" stands for every local file and every sandboxed page")]
    Null,
    #[error("an origin has no path, not even a slash at its end")]
    Path,
    #[error("wildcards are not supported; list the origins")]
    Wildcard,
    #[error("{0}")]
    Host(String),
}

impl Origin {
    /// Reads `scheme://host` or `scheme://host:port`.
    pub(crate) fn parse(text: &str) -> Result<Self, BadOrigin> {
        if text == "null" {
            return Err(BadOrigin::Null);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadOrigin::NoScheme)?;
        let https = match scheme {
            _ if scheme.eq_ignore_ascii_case("https") => true,
            _ if scheme.eq_ignore_ascii_case("http") => false,
            _ => return Err(BadOrigin::Scheme),
        };
        if rest.contains(['/', '?', '#']) {
            return Err(BadOrigin::Path);
        }
        if rest.contains('*') {
            return Err(BadOrigin::Wildcard);
        }
        let HostPort { host, port } =
            HostPort::parse(rest).map_err(|bad: BadAuthority<'_>| BadOrigin::Host(bad.to_string()))?;
        let default = if https { 443 } else { 80 };
        let place = HostPort { host: host.without_dot(), port: port.filter(|port| *port != default) };
        let place = place.to_string().to_ascii_lowercase();
        // Of the dots of a name, only the last one may have nothing beside it.
        let name = host.without_dot().to_string();
        if name.is_empty() || name.split('.').any(str::is_empty) {
            return Err(BadOrigin::Host(format!("{rest:?} is not a host name")));
        }
        Ok(Self { https, place })
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.https == other.https && HostPort::parse(&self.place) == HostPort::parse(&other.place)
    }
}

impl Eq for Origin {}

/// As browsers write it.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.place)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_is_one_origin() {
        for (text, shown) in [
            ("https://ui.example.com", "https://ui.example.com"),
            ("HTTPS://UI.Example.COM.:443", "https://ui.example.com"),
            ("http://ui.example.com:80", "http://ui.example.com"),
            ("https://ui.example.com:80", "https://ui.example.com:80"),
            ("http://[0:0::1]:8080", "http://[::1]:8080"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            let origin = Origin::parse(text).unwrap();
            assert_eq!(origin.to_string(), shown);
            assert_eq!(Origin::parse(shown), Ok(origin));
        }
        let differ = |one, other| assert_ne!(Origin::parse(one).unwrap(), Origin::parse(other).unwrap());
        differ("https://ui.example.com", "http://ui.example.com");
        differ("https://ui.example.com", "https://ui.example.com:8443");
        differ("https://ui.example.com", "https://a.ui.example.com");
        differ("https://ui.example.com", "https://ui.example.com.evil.test");
    }

    #[test]
    fn what_is_not_an_origin() {
        for (text, bad) in [
            ("", BadOrigin::NoScheme),
            ("ui.example.com", BadOrigin::NoScheme),
            ("null", BadOrigin::Null),
            ("ftp://ui.example.com", BadOrigin::Scheme),
            ("https://ui.example.com/", BadOrigin::Path),
            ("https://*.example.com", BadOrigin::Wildcard),
            ("https://a b", BadOrigin::Host("\"a b\" is not a host name".to_owned())),
        ] {
            assert_eq!(Origin::parse(text), Err(bad), "{text}");
        }
        for text in [
            "https://",
            "https://.",
            "https://.:8443",
            "https://u:p@a",
            "https://a:x",
            "https://a, https://b",
            "https://a:1:2",
        ] {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_and_parses_again(text in "(http|https|HTTPS)://[a-zA-Z0-9.:\\[\\]_-]{0,20}") {
            if let Ok(origin) = Origin::parse(&text) {
                prop_assert_eq!(Origin::parse(&origin.to_string()), Ok(origin));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = Origin::parse(&text);
        }
    }
}
