//! Host and port in one text: RFC 3986 section 3.2, RFC 9110 section 7.2.

use std::fmt;
use std::net::Ipv6Addr;

use http::HeaderValue;
use thiserror::Error;

/// A host without its port. All spellings of a host are equal. Names are compared without regard to
/// case and to a dot at the end, as in the DNS (RFC 1034 section 3.1). IPv6 addresses are compared
/// by value, and an IPv4-mapped one is the IPv4 address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Host<'a> {
    /// A host name or an IPv4 address, as it was written.
    Name(&'a str),
    /// An IPv6 address, which URLs and header fields write in brackets.
    V6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// The host in a text that has no port and writes an IPv6 address without brackets.
    pub(crate) fn bare(text: &'a str) -> Self {
        let v6 = if text.contains(':') { text.parse().ok() } else { None };
        v6.map_or(Self::Name(text), Self::V6)
    }

    /// Whether `name` stands for this host. `name` has no port; an IPv6 address is in brackets.
    pub(crate) fn is(self, name: &'a str) -> bool {
        let v6 = within_brackets(name).and_then(|inner| inner.parse().ok());
        self == v6.map_or(Self::Name(name), Self::V6)
    }

    /// The same host without a dot at its end.
    pub(crate) fn without_dot(self) -> Self {
        match self {
            Self::Name(name) => Self::Name(without_dot(name)),
            Self::V6(_) => self,
        }
    }
}

impl PartialEq for Host<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => without_dot(one).eq_ignore_ascii_case(without_dot(other)),
            (Self::V6(one), Self::V6(other)) => one == other,
            (Self::Name(name), Self::V6(address)) | (Self::V6(address), Self::Name(name)) => {
                address.to_ipv4_mapped().is_some_and(|address| without_dot(name).parse() == Ok(address))
            }
        }
    }
}

/// As in a URL.
impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::V6(address) => write!(f, "[{address}]"),
        }
    }
}

/// A host, and a port where one is written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct HostPort<'a> {
    pub host: Host<'a>,
    /// `None` where the text has no port, or an empty one (`localhost:`).
    pub port: Option<u16>,
}

/// Why a text is not `host` or `host:port`, in words for the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum BadAuthority<'a> {
    /// The text before the port, if any, is empty or holds a character that no host name has.
    #[error("{0:?} is not a host name")]
    Name(&'a str),
    #[error("the bracket of the address is not closed")]
    OpenBracket,
    #[error("no IPv6 address stands in the brackets")]
    NotV6,
    #[error("only :port may follow the bracket")]
    AfterBracket,
    #[error("an IPv6 address stands in brackets")]
    NoBrackets,
    #[error("the port is not a number")]
    PortNumber,
    #[error("the port is not between 1 and 65535")]
    PortRange,
}

impl<'a> HostPort<'a> {
    /// Reads `host` or `host:port`. User information is refused.
    pub(crate) fn parse(text: &'a str) -> Result<Self, BadAuthority<'a>> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => bracketed(rest)?,
            None => named(text)?,
        };
        let port = match port {
            None | Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| BadAuthority::PortRange)?)
            }
            Some(_) => return Err(BadAuthority::PortNumber),
        };
        Ok(Self { host, port })
    }

    /// The same with the port `default` where none is written.
    pub(crate) fn or_port(self, default: u16) -> Self {
        Self { port: self.port.or(Some(default)), ..self }
    }
}

/// As in a URL.
impl fmt::Display for HostPort<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            None => self.host.fmt(f),
            Some(port) => write!(f, "{}:{port}", self.host),
        }
    }
}

/// `rest` follows the opening bracket.
fn bracketed(rest: &str) -> Result<(Host<'_>, Option<&str>), BadAuthority<'_>> {
    let (address, rest) = rest.split_once(']').ok_or(BadAuthority::OpenBracket)?;
    let host = Host::V6(address.parse().map_err(|_| BadAuthority::NotV6)?);
    match rest.strip_prefix(':') {
        None if !rest.is_empty() => Err(BadAuthority::AfterBracket),
        port => Ok((host, port)),
    }
}

fn named(text: &str) -> Result<(Host<'_>, Option<&str>), BadAuthority<'_>> {
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port)),
        None => (text, None),
    };
    if port.is_some_and(|port| port.contains(':')) && text.parse::<Ipv6Addr>().is_ok() {
        return Err(BadAuthority::NoBrackets);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    if name.is_empty() || !name.bytes().all(fits) {
        return Err(BadAuthority::Name(name));
    }
    Ok((Host::Name(name), port))
}

/// A host name without the dot that ends it in its absolute form.
pub(crate) fn without_dot(name: &str) -> &str {
    name.strip_suffix('.').unwrap_or(name)
}

/// The text between the brackets of an IPv6 address.
pub(crate) fn within_brackets(text: &str) -> Option<&str> {
    text.strip_prefix('[')?.strip_suffix(']')
}

/// The host and port that a client asked for, read once.
#[derive(Clone, Debug)]
pub(crate) struct Authority {
    /// The same text twice: a header value gives no `&str` without a check.
    field: HeaderValue,
    text: String,
    /// The length of a host name; an IPv6 address is in `v6`.
    name: usize,
    v6: Option<Ipv6Addr>,
    port: Option<u16>,
}

impl Authority {
    /// Reads the value of a `Host` field; `None` where it is not `host` or `host:port`.
    pub(crate) fn read(field: &HeaderValue) -> Option<Self> {
        let text = field.to_str().ok()?;
        let HostPort { host, port } = HostPort::parse(text).ok()?;
        let (name, v6) = match host {
            Host::Name(name) => (name.len(), None),
            Host::V6(address) => (0, Some(address)),
        };
        Some(Self { field: field.clone(), text: text.to_owned(), name, v6, port })
    }

    /// Reads a host that the settings or a certificate name, without a port.
    pub(crate) fn of_host(host: &str) -> Option<Self> {
        Self::read(&HeaderValue::try_from(Host::bare(host).to_string()).ok()?)
    }

    /// Reads `host` or `host:port` of the settings.
    pub(crate) fn of_host_and_port(text: &str) -> Option<Self> {
        Self::read(&HeaderValue::try_from(text).ok()?)
    }

    /// Host and port as the client wrote them.
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Host and port as the client wrote them, for a field that repeats them.
    pub(crate) fn field(&self) -> &HeaderValue {
        &self.field
    }

    pub(crate) fn host(&self) -> Host<'_> {
        self.v6.map_or(Host::Name(&self.text[..self.name]), Host::V6)
    }

    pub(crate) fn host_port(&self) -> HostPort<'_> {
        HostPort { host: self.host(), port: self.port }
    }
}

#[cfg(test)]
mod tests;
