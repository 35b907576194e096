//! The address of a registry: `http://host:port`, `https://host:port` or `unix:/path`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::complaint::Complaint;
use super::names::host_name;
use crate::header::authority::{BadAuthority, Host, HostPort};

const HTTP_PORT: u16 = 80;
const HTTPS_PORT: u16 = 443;

/// One server of `upstream.servers`. Displays as in proxy.toml, without the scheme's default port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ServerAddress {
    /// `http://` or `https://`.
    Tcp {
        /// A lower-case host name, an IPv4 address, or an IPv6 address without brackets.
        host: String,
        /// Never 0.
        port: u16,
        /// Whether the scheme is https.
        tls: bool,
    },
    /// `unix:/path`: plain HTTP over a socket of the file system; the path is absolute.
    Unix(PathBuf),
}

impl ServerAddress {
    /// The host and port of a URL of this server, without the scheme's default port. `localhost`
    /// for a Unix socket.
    pub(crate) fn authority(&self) -> HostPort<'_> {
        match self {
            Self::Tcp { host, port, tls } => {
                let port = (*port != default_port(*tls)).then_some(*port);
                HostPort { host: Host::bare(host), port }
            }
            Self::Unix(_) => HostPort { host: Host::Name("localhost"), port: None },
        }
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { tls: false, .. } => write!(f, "http://{}", self.authority()),
            Self::Tcp { tls: true, .. } => write!(f, "https://{}", self.authority()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for ServerAddress {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Self, Complaint> {
        if let Some(path) = text.strip_prefix("unix:") {
            return socket(path);
        }
        if text.starts_with('/') {
            return Err("unix: is missing before the path of a socket".into());
        }
        let (scheme, rest) =
            text.split_once("://").ok_or("http:// or https:// is missing before the host")?;
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err("the scheme is not http, https or unix".into()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        if authority.contains('@') {
            return Err("a user or password is not allowed here; see upstream.authorization".into());
        }
        if authority.contains(['/', '?', '#']) {
            return Err("a query is not allowed here: requests go to /v2/ of the server".into());
        }
        let HostPort { host, port } = match HostPort::parse(authority) {
            // `host_name` has the more precise message.
            Err(BadAuthority::Name(name)) => {
                return host_name(name).and(Err("it is not a host name".into()));
            }
            read => read.map_err(|bad| bad.to_string())?,
        };
        let host = match host {
            Host::Name(name) => host_name(name)?,
            Host::V6(address) => address.to_string(),
        };
        let port = match port {
            None if authority.ends_with(':') => return Err(BadAuthority::PortNumber.to_string().into()),
            Some(0) => return Err(BadAuthority::PortRange.to_string().into()),
            port => port.unwrap_or(default_port(tls)),
        };
        Ok(Self::Tcp { host, port, tls })
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { HTTPS_PORT } else { HTTP_PORT }
}

fn socket(path: &str) -> Result<ServerAddress, Complaint> {
    let path = path.strip_prefix("//").unwrap_or(path);
    if !path.starts_with('/') || path.contains('\0') {
        return Err("the path of a socket must begin with /".into());
    }
    Ok(ServerAddress::Unix(PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tcp(host: &str, port: u16, tls: bool) -> ServerAddress {
        ServerAddress::Tcp { host: host.to_owned(), port, tls }
    }

    #[test]
    fn reads_what_operators_write() {
        for (text, address, authority) in [
            ("http://registry:5000", tcp("registry", 5000, false), "registry:5000"),
            ("http://127.0.0.1:5000/", tcp("127.0.0.1", 5000, false), "127.0.0.1:5000"),
            ("https://Registry.Example", tcp("registry.example", 443, true), "registry.example"),
            ("http://my_registry.1:80", tcp("my_registry.1", 80, false), "my_registry.1"),
            ("http://[::1]:5000", tcp("::1", 5000, false), "[::1]:5000"),
            ("unix:/run/r.sock", ServerAddress::Unix("/run/r.sock".into()), "localhost"),
            ("unix:///run/r.sock", ServerAddress::Unix("/run/r.sock".into()), "localhost"),
        ] {
            let parsed: ServerAddress = text.parse().unwrap();
            assert_eq!(parsed, address);
            assert_eq!(parsed.authority().to_string(), authority);
            assert_eq!(parsed.to_string().parse(), Ok(address));
        }
        assert_eq!(tcp("registry", 5000, false).to_string(), "http://registry:5000");
    }

    #[test]
    fn refuses_what_is_not_a_server() {
        for text in [
            "",
            "registry:5000",
            "ftp://registry",
            "http://",
            "http://:5000",
            "http://registry:",
            "http://registry:0",
            "http://registry:65536",
            "http://registry:+80",
            "http://registry:5000/v2/",
            "http://user:pw@registry",
            "http://::1",
            "http://[::1",
            "http://[::1]5000",
            "http://a b",
            "unix:run/r.sock",
            "unix:",
        ] {
            assert!(text.parse::<ServerAddress>().is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_parses_prints_and_parses_again(text in "(https?://|unix:/)[a-zA-Z0-9.:\\[\\]_/-]{0,20}") {
            if let Ok(address) = text.parse::<ServerAddress>() {
                prop_assert_eq!(address.to_string().parse(), Ok(address));
            }
        }

        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = text.parse::<ServerAddress>();
        }
    }
}
