//! `[auth.http]`: a service of the operator that judges logins.

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Uri};

use super::complaint::Complaint;
use super::names::host_name;
use super::print::{Printer, quoted};
use super::report::Location;
use super::section::Section;
use super::values::print_duration;
use crate::header::authority::{Host, HostPort};

/// A service. Two of them are equal if they mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// `https`, or `http` to a loopback address.
    pub address: ServiceAddress,
    /// PEM roots; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// The file with what is sent as `X-Tidegate-Secret`.
    pub secret: Option<PathBuf>,
    /// The field of the answer with the user's name.
    pub user_header: String,
    /// The field of the answer with the groups, separated by commas; `None` means no groups.
    pub group_header: Option<String>,
    pub timeout: Duration,
    pub connections: usize,
}

/// Where a service is. Displays as in proxy.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceAddress {
    /// An absolute URL.
    Url(Uri),
    /// The path of a socket.
    Unix(PathBuf),
}

/// A client waits for it.
const TIMEOUT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(1);
const MOST_CONNECTIONS: usize = 256;

const URL: &str = r#"the URL of a service, such as "https://auth.internal/check", "http://127.0.0.1:8080" or "unix:/run/auth.sock", or "" for none"#;

impl Service {
    /// `None` inside if no URL is written.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Option<Self>> {
        let (is_there, is_written, header) =
            (section.is_there(), section.is_written("url"), section.header.clone());
        let address = section.text("url", r#""""#, URL, |text| match text {
            "" => Ok(None),
            text => address(text).map(Some),
        });
        let ca_location = section.location("ca");
        let wanted = r#"the path of a PEM file, or "" for the roots of the system"#;
        let remedy =
            "name a PEM file with the root of the service's certificate, or leave it empty for a public one";
        let ca = section.optional_file("ca", wanted, remedy);
        let wanted = r#"the path of a file with a secret that the service knows, or "" for none"#;
        let remedy = "make it with `openssl rand -base64 24`, and make it readable for its owner and the service alone";
        let secret = section.optional_file("secret", wanted, remedy);
        let wanted = r#"the name of a header field, such as "Remote-User""#;
        let user_header = section.text("user_header", r#""Remote-User""#, wanted, field);
        let wanted = r#"the name of a header field, such as "Remote-Groups", or "" for no groups"#;
        let group_location = section.location("group_header");
        let group_header = section.text("group_header", r#""Remote-Groups""#, wanted, |text| match text {
            "" => Ok(None),
            text => field(text).map(Some),
        });
        let timeout = section.duration("timeout", r#""3s""#, TIMEOUT);
        let connections = section.number("connections", "8", 1..=MOST_CONNECTIONS);

        let Some(address) = address? else {
            if is_there && !is_written {
                let message = "auth.http.url is missing: without it nobody can be asked; write the URL of the service, or \
                               remove the section";
                section.report.forgotten(&header, message);
            }
            return Some(None);
        };
        let service = Self {
            address,
            ca: ca?,
            secret: secret?,
            user_header: user_header?,
            group_header: group_header?,
            timeout: timeout?,
            connections: connections?,
        };
        service.check(section, &ca_location, &group_location);
        Some(Some(service))
    }

    /// Reports keys that do not go together.
    fn check(&self, section: &mut Section<'_, '_>, ca: &Location, group_header: &Location) {
        let is_tls = matches!(&self.address, ServiceAddress::Url(url) if url.scheme_str() == Some("https"));
        if self.ca.is_some() && !is_tls {
            let message = "auth.http.ca has no effect unless auth.http.url begins with https://; write that, or remove the key";
            section.report.warn(ca, message);
        }
        let groups = self.group_header.as_ref();
        if groups.is_some_and(|groups| groups.eq_ignore_ascii_case(&self.user_header)) {
            let message = "auth.http.group_header is the field of auth.http.user_header, so that users would be groups; \
                           write another field, or \"\" for no groups";
            section.report.wrong(group_header, message);
        }
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { address, ca, secret, user_header, group_header, timeout, connections } = self;
        to.section("auth.http");
        to.reloaded("url", quoted(address));
        to.watched("ca", ca.as_deref());
        to.watched("secret", secret.as_deref());
        to.reloaded("user_header", quoted(user_header));
        to.reloaded("group_header", quoted(group_header.as_deref().unwrap_or_default()));
        to.reloaded("timeout", quoted(print_duration(*timeout)));
        to.reloaded("connections", connections);
    }
}

impl fmt::Display for ServiceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => url.fmt(f),
            Self::Unix(socket) => write!(f, "unix:{}", socket.display()),
        }
    }
}

fn address(text: &str) -> Result<ServiceAddress, Complaint> {
    if let Some(socket) = text.strip_prefix("unix:") {
        let socket = socket.strip_prefix("//").unwrap_or(socket);
        if !socket.starts_with('/') || socket.contains('\0') {
            return Err("the path of a socket must begin with /".into());
        }
        return Ok(ServiceAddress::Unix(socket.into()));
    }
    if text.starts_with('/') {
        return Err("unix: is missing before the path of a socket".into());
    }
    let is_plain = match text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()) {
        Some(scheme) if scheme == "https" => false,
        Some(scheme) if scheme == "http" => true,
        Some(_) => return Err("the scheme is not https, http or unix".into()),
        None => return Err("https:// is missing before the host".into()),
    };
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a URL has neither spaces nor letters beyond ASCII; escape them with %".into());
    }
    if text.contains('#') {
        return Err("a part after # is not sent to a server".into());
    }
    let url: Uri = text.parse().map_err(|_| "it is not a URL")?;
    let authority = url.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("a user or password is not allowed here; see auth.http.secret".into());
    }
    let HostPort { host, port } = HostPort::parse(authority).map_err(|bad| bad.to_string())?;
    let is_here = match host {
        Host::Name(name) => {
            let name = host_name(name)?;
            name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Host::V6(address) => address.is_loopback(),
    };
    if port == Some(0) {
        return Err("the port is not between 1 and 65535".into());
    }
    if is_plain && !is_here {
        return Err("passwords are sent to another machine under TLS only".into());
    }
    Ok(ServiceAddress::Url(url))
}

fn field(text: &str) -> Result<String, Complaint> {
    HeaderName::try_from(text).map(|_| text.to_owned()).map_err(|_| Complaint::Shape)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_operators_write() {
        for (text, printed) in [
            ("https://auth.internal", "https://auth.internal/"),
            ("https://Auth.internal:8443/check?a=%20b", "https://Auth.internal:8443/check?a=%20b"),
            ("HTTP://127.0.0.1:8080", "http://127.0.0.1:8080/"),
            ("http://localhost/", "http://localhost/"),
            ("http://[::1]:81/x", "http://[::1]:81/x"),
            ("unix:/run/auth.sock", "unix:/run/auth.sock"),
            ("unix:///run/auth.sock", "unix:/run/auth.sock"),
        ] {
            let read = address(text).unwrap();
            assert_eq!(read.to_string(), printed);
            assert_eq!(address(printed), Ok(read));
        }
    }

    #[test]
    fn refuses_what_would_show_passwords_or_is_no_url() {
        for text in [
            "auth.internal",
            "http://auth.internal",
            "http://192.0.2.1/",
            "http://0.0.0.0/",
            "http://[::]:80/",
            "http://localhost.example/",
            "http://127.0.0.1@192.0.2.1/",
            "https://user:password@auth.internal/",
            "https://auth.internal:0/",
            "https://auth.internal:port/",
            "https:///check",
            "https://auth.internal/#x",
            "https://auth.internal/a b",
            "https://auth.internal/\u{e4}",
            "ldap://auth.internal",
            "unix:auth.sock",
            "/run/auth.sock",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_and_parses_again(text in "(https?://|unix:)[a-z0-9.:/@?%\\[\\]-]{0,20}") {
            if let Ok(read) = address(&text) {
                prop_assert_eq!(address(&read.to_string()), Ok(read));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = address(&text);
        }
    }
}
