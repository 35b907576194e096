//! `[shared]`: the Redis or Valkey in which replicas keep what they share.

use std::fmt;
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use super::complaint::Complaint;
use super::names::host_and_port;
use super::print::{Printer, quoted};
use super::section::Section;
use crate::header::authority::{Host, HostPort};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Where the engine is; `None` if the replicas share nothing.
    pub url: Option<EngineUrl>,
    /// The file with the password; `None` for an engine without one.
    pub password_file: Option<PathBuf>,
    /// PEM roots for a `rediss` URL; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// How the name of every key begins: letters, digits, `.`, `_` and `-`.
    pub prefix: String,
    /// The file with the secret under which secrets are sealed; `None` means the password.
    pub secret_file: Option<PathBuf>,
}

/// A URL `redis://USER@HOST:PORT/DATABASE`. Displays with all parts that are not the default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineUrl {
    /// Whether the scheme is `rediss`.
    pub tls: bool,
    /// The user of the engine's access list; `None` for its default user.
    pub user: Option<String>,
    /// A lower-case host name, an IPv4 address, or an IPv6 address without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
    pub database: u16,
}

const PORT: u16 = 6379;
const LONGEST_PREFIX: usize = 64;
/// What cannot stand in the user of a URL as it is (RFC 3986, section 3.2.1).
const NOT_IN_USER: &AsciiSet =
    &CONTROLS.add(b' ').add(b'%').add(b'/').add(b':').add(b'?').add(b'#').add(b'@');

impl Shared {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let wanted =
            r#"the URL of a Redis or Valkey, such as "rediss://valkey.internal:6379", or "" for none"#;
        let url_location = section.location("url");
        let url = section.text("url", r#""""#, wanted, |text| match text {
            "" => Ok(None),
            text => engine_url(text).map(Some),
        });
        let wanted = r#"the path of a file with the password, or "" for none"#;
        let remedy = "write the password of the engine into it, and make it readable for its owner alone";
        let password_file = section.optional_file("password_file", wanted, remedy);
        let ca_location = section.location("ca");
        let remedy = "name a PEM file with the root, or leave it empty for the roots of the system";
        let wanted = r#"the path of a PEM file, or "" for the roots of the system"#;
        let ca = section.optional_file("ca", wanted, remedy);
        let wanted = "letters, digits, \".\", \"_\" and \"-\", at most 64 of them";
        let prefix = section.text("prefix", r#""tidegate""#, wanted, prefix);
        let wanted = r#"the path of a file with at least 32 random bytes in base64, or "" for the password"#;
        let remedy = "make it with `openssl rand -base64 48`, and give every replica the same file";
        let secret_file = section.optional_file("secret_file", wanted, remedy);

        if let Some(Some(url)) = &url {
            if (&password_file, &secret_file) == (&Some(None), &Some(None)) {
                let message = "shared.secret_file is missing: without a password, the secrets in the engine need a key of \
                               their own; make the file with `openssl rand -base64 48`, and give every replica the same";
                section.report.forgotten(&url_location, message);
            }
            if url.user.is_some() && password_file == Some(None) {
                let message = "shared.password_file is missing, which the user in shared.url needs; name a file with the \
                               password, or remove the user";
                section.report.forgotten(&url_location, message);
            }
            if !url.tls && matches!(ca, Some(Some(_))) {
                let message = "shared.ca has no effect unless shared.url begins with rediss://; write that, or remove the key";
                section.report.warn(&ca_location, message);
            }
        }
        Some(Self {
            url: url?,
            password_file: password_file?,
            ca: ca?,
            prefix: prefix?,
            secret_file: secret_file?,
        })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { url, password_file, ca, prefix, secret_file } = self;
        to.section("shared");
        to.fixed("url", quoted(url.as_ref().map(EngineUrl::to_string).unwrap_or_default()));
        to.fixed("password_file", to.optional_path(password_file.as_deref()));
        to.fixed("ca", to.optional_path(ca.as_deref()));
        to.fixed("prefix", quoted(prefix));
        to.fixed("secret_file", to.optional_path(secret_file.as_deref()));
    }
}

impl fmt::Display for EngineUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tls, user, host, port, database } = self;
        f.write_str(if *tls { "rediss://" } else { "redis://" })?;
        if let Some(user) = user {
            write!(f, "{}@", utf8_percent_encode(user, NOT_IN_USER))?;
        }
        let port = (*port != PORT).then_some(*port);
        write!(f, "{}", HostPort { host: Host::bare(host), port })?;
        if *database == 0 { Ok(()) } else { write!(f, "/{database}") }
    }
}

fn engine_url(text: &str) -> Result<EngineUrl, Complaint> {
    let (scheme, rest) = text.split_once("://").ok_or("redis:// or rediss:// is missing before the host")?;
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "redis" | "valkey" => false,
        "rediss" | "valkeys" => true,
        _ => return Err("the scheme is not redis or rediss".into()),
    };
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, authority) = match authority.rsplit_once('@') {
        Some((user, _)) if user.contains(':') => {
            return Err(
                "a password is not allowed here; write it into the file of shared.password_file".into()
            );
        }
        Some((user, authority)) => (Some(user), authority),
        None => (None, authority),
    };
    let user = user.filter(|user| !user.is_empty()).map(|user| percent_decode_str(user).decode_utf8());
    let user = user.transpose().map_err(|_| "the user is not UTF-8")?.map(|user| user.into_owned());
    if user.as_ref().is_some_and(|user| user.contains(|c: char| c.is_control() || c.is_whitespace())) {
        return Err("a user has neither spaces nor control characters".into());
    }
    let (host, port) = host_and_port(authority, PORT)?;
    let database = match database {
        "" => 0,
        digits if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().map_err(|_| "there is no database of that number")?
        }
        _ => return Err("only the number of a database may follow the host".into()),
    };
    Ok(EngineUrl { tls, user, host, port, database })
}

fn prefix(text: &str) -> Result<String, Complaint> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let is_fine = !text.is_empty() && text.len() <= LONGEST_PREFIX && text.bytes().all(fits);
    if is_fine { Ok(text.to_owned()) } else { Err(Complaint::Shape) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_operators_write() {
        let plain = EngineUrl { tls: false, user: None, host: "valkey".to_owned(), port: 6379, database: 0 };
        for (text, url, printed) in [
            ("redis://valkey", plain.clone(), "redis://valkey"),
            ("redis://Valkey:6379/", plain.clone(), "redis://valkey"),
            ("redis://@valkey", plain.clone(), "redis://valkey"),
            ("redis://valkey:1/7", EngineUrl { port: 1, database: 7, ..plain.clone() }, "redis://valkey:1/7"),
            ("valkeys://valkey", EngineUrl { tls: true, ..plain.clone() }, "rediss://valkey"),
            (
                "rediss://[::1]",
                EngineUrl { tls: true, host: "::1".to_owned(), ..plain.clone() },
                "rediss://[::1]",
            ),
            (
                "redis://a%40b@valkey",
                EngineUrl { user: Some("a@b".to_owned()), ..plain },
                "redis://a%40b@valkey",
            ),
        ] {
            let read = engine_url(text).unwrap();
            assert_eq!((read.clone(), read.to_string().as_str()), (url, printed));
            assert_eq!(engine_url(printed), Ok(read));
        }
    }

    #[test]
    fn refuses_what_is_no_url_of_an_engine() {
        for text in [
            "valkey:6379",
            "http://valkey",
            "redis://",
            "redis://valkey:0",
            "redis://valkey:port",
            "redis://valkey/db",
            "redis://valkey/70000",
            "redis://valkey?x=1",
            "redis://user:password@valkey",
            "redis://:password@valkey",
            "redis://a%20b@valkey",
            "redis://%ff@valkey",
        ] {
            assert!(engine_url(text).is_err(), "{text}");
        }
        for text in ["", "a:b", "a b", "{a}", &"a".repeat(65)] {
            assert!(prefix(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_and_parses_again(text in "rediss?://([a-z%0-9é]{0,5}@)?[a-zA-Z0-9.:\\[\\]_/-]{0,20}") {
            if let Ok(url) = engine_url(&text) {
                prop_assert_eq!(engine_url(&url.to_string()), Ok(url));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = engine_url(&text);
        }
    }
}
