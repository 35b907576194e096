//! `[admin]`: who sees the traffic, and the addresses of `server.admin`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;

use super::complaint::Complaint;
use super::list::{Separator, values};
use super::names::{NETWORK, network, socket_address};
use super::print::{Printer, list, quoted};
use super::report::Location;
use super::section::Section;

/// The longest path that the kernel takes for a socket, without the NUL after it.
const LONGEST_SOCKET: usize = 107;

/// Who may see metrics and traffic, beside clients of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Networks that need no password.
    pub allow: Vec<IpNet>,
    /// Users and password hashes. `None` means that no password helps.
    pub htpasswd: Option<PathBuf>,
}

/// One of `server.admin`. Displays as in proxy.toml.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminAddress {
    /// An IP address and a port, for plain HTTP.
    Tcp(SocketAddr),
    /// `unix:/path`: a socket of the file system; the path is absolute.
    Unix(PathBuf),
}

impl Admin {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        let allow = section.list("allow", "[]", Separator::Comma, NETWORK, network);
        for (location, network) in allow.iter().flatten().filter(|(_, net)| net.prefix_len() == 0) {
            let message = format!(
                "admin.allow: {network} is everybody, so anyone who reaches server.admin sees the names of users and \
                 repositories; write the networks of your monitoring"
            );
            section.report.warn(location, message);
        }
        let wanted = r#"the path of a file, or "" for no passwords"#;
        let remedy = "make it with `tidegate htpasswd add FILE USER`";
        let htpasswd = section.optional_file("htpasswd", wanted, remedy);
        Some(Self { allow: values(allow)?, htpasswd: htpasswd? })
    }

    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { allow, htpasswd } = self;
        to.section("admin");
        to.reloaded("allow", list(allow.iter().map(quoted)));
        // An edit takes effect without a reload, which only repeats the warnings about the file.
        to.watched("htpasswd", htpasswd.as_deref());
    }

    fn is_empty(&self) -> bool {
        self.allow.is_empty() && self.htpasswd.is_none()
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl FromStr for AdminAddress {
    type Err = Complaint;

    fn from_str(text: &str) -> Result<Self, Complaint> {
        let Some(path) = text.strip_prefix("unix:") else {
            if text.starts_with('/') {
                return Err("unix: is missing before the path of a socket".into());
            }
            return socket_address(text).map(Self::Tcp);
        };
        let path = path.strip_prefix("//").unwrap_or(path);
        if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
            return Err("the path of a socket must begin with / and name a file".into());
        }
        if path.len() > LONGEST_SOCKET {
            return Err(format!("the path of a socket has at most {LONGEST_SOCKET} bytes").into());
        }
        Ok(Self::Unix(PathBuf::from(path)))
    }
}

/// `server.admin`, each address with its location.
pub(super) fn addresses(section: &mut Section<'_, '_>) -> Option<Vec<(Location, AdminAddress)>> {
    let wanted = r#"an IP address and a port, such as "127.0.0.1:9443", or a socket, such as "unix:/run/tidegate/admin.sock""#;
    let any_port = |address: &AdminAddress| matches!(address, AdminAddress::Tcp(tcp) if tcp.port() == 0);
    section.distinct("admin", "[]", wanted, str::parse::<AdminAddress>, any_port)
}

/// Warns of a page that nobody can see, and of `[admin]` without a listener. `admin` is that
/// section, and `header` its place if it is written.
pub(super) fn warn_of_no_effect(
    section: &mut Section<'_, '_>,
    addresses: &[(Location, AdminAddress)],
    admin: Option<&Admin>,
    header: Option<&Location>,
) {
    let Some(admin) = admin else { return };
    if addresses.is_empty()
        && !admin.is_empty()
        && let Some(header) = header
    {
        let message =
            "[admin] has no effect without a listener; write admin = [\"127.0.0.1:9443\"] in [server]";
        section.report.warn(header, message);
    }
    let remote = addresses.iter().find(|(_, address)| match address {
        AdminAddress::Tcp(tcp) => !tcp.ip().is_loopback(),
        AdminAddress::Unix(_) => false,
    });
    if let Some((location, address)) = remote.filter(|_| admin.is_empty()) {
        let message = format!(
            "server.admin: {address} shows other machines only /healthz and /readyz; write admin.allow or \
             admin.htpasswd if they should see metrics and the page"
        );
        section.report.warn(location, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_operators_write() {
        for (text, shown) in [
            ("127.0.0.1:9443", "127.0.0.1:9443"),
            ("[::]:0", "[::]:0"),
            ("unix:/run/tidegate/admin.sock", "unix:/run/tidegate/admin.sock"),
            ("unix:///run/a", "unix:/run/a"),
        ] {
            assert_eq!(text.parse::<AdminAddress>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn refuses_what_is_not_an_address() {
        let long = format!("unix:/{}", "x".repeat(LONGEST_SOCKET));
        for text in
            ["", "9443", "localhost:9443", "/run/a", "unix:", "unix:a", "unix:/a/", &long, "unix:/a\0"]
        {
            assert!(text.parse::<AdminAddress>().is_err(), "{text:?}");
        }
        assert!(long.trim_end_matches('x').len() == 6);
        assert!(long[..long.len() - 1].parse::<AdminAddress>().is_ok());
    }
}
