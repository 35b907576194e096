//! The options that answer the questions beforehand.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::super::cert::name::HostName;
use crate::auth::htpasswd;
use crate::config::ServerAddress;

#[derive(Args, Debug)]
pub(super) struct Options {
    /// The host name or IP address that clients use; with a port if it is not the one of --listen
    #[arg(long, value_name = "NAME[:PORT]", value_parser = name)]
    pub(super) name: Option<Address>,
    /// Where the certificate comes from
    #[arg(long, value_enum, value_name = "SOURCE")]
    pub(super) certificate: Option<Source>,
    /// For `--certificate files`: the chain as PEM, the server's own certificate first
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub(super) chain: Option<PathBuf>,
    /// For `--certificate files`: its private key as PEM
    #[arg(long, value_name = "FILE", value_parser = file)]
    pub(super) key: Option<PathBuf>,
    /// For `--certificate acme`: agree to the terms of service of Let's Encrypt
    #[arg(long)]
    pub(super) accept_terms: bool,
    /// The registry: http://host:port, https://host:port or unix:/path
    #[arg(long, value_name = "URL", value_parser = registry)]
    pub(super) registry: Option<ServerAddress>,
    /// The first user
    #[arg(long, value_parser = user)]
    pub(super) user: Option<String>,
    /// The file with the password of the first user
    ///
    /// It holds one line. If it is missing, a random password is written into it, with mode 0600,
    /// instead of being printed. A relative path is relative to DIR.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Where to listen [default: port 443 if it can be used, else 8443 or the next free one]
    #[arg(long, value_name = "IP:PORT")]
    pub(super) listen: Option<SocketAddr>,
}

impl Options {
    /// The path of the file, from here.
    pub(super) fn password_file(&self, folder: &Path) -> Option<PathBuf> {
        self.password_file.as_ref().map(|file| folder.strip_prefix(".").unwrap_or(folder).join(file))
    }
}

/// Where a certificate comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Source {
    /// A private CA that is made now
    #[value(alias = "self")]
    Private,
    /// Files that are there already
    Files,
    /// Let's Encrypt: port 443 of a public name must lead here
    Acme,
}

/// What clients write to reach tidegate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: HostName,
    /// Missing if it is that of `server.listen`.
    pub(super) port: Option<u16>,
}

impl Address {
    /// As a client writes it, where `port` is that of `server.listen`.
    pub(super) fn with_port(&self, port: u16) -> String {
        match self.port.unwrap_or(port) {
            443 => self.host_in_url(),
            port => format!("{}:{port}", self.host_in_url()),
        }
    }

    fn host_in_url(&self) -> String {
        match &self.host {
            HostName::Address(address) if address.is_ipv6() => format!("[{address}]"),
            host => host.to_string(),
        }
    }

    /// Whether docker takes any certificate from there.
    pub(super) fn is_loopback(&self) -> bool {
        match &self.host {
            HostName::Dns(name) => name == "localhost",
            HostName::Address(address) => address.is_loopback() && address.is_ipv4(),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_port(443))
    }
}

pub(super) fn name(text: &str) -> Result<Address, String> {
    // An address of IPv6 alone has colons too.
    let after_bracket = text.rfind(']').map_or(0, |at| at + 1);
    let has_port = text.matches(':').count() == 1 || (after_bracket > 0 && after_bracket < text.len());
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if has_port && !port.starts_with('/') => (host, Some(port)),
        _ => (text, None),
    };
    let host = HostName::from_str(host).map_err(|bad| bad.to_string())?;
    if matches!(&host, HostName::Dns(name) if name.starts_with('*')) {
        return Err("write a name that clients can ask for, without *".to_owned());
    }
    let port = port.map(|port| port.parse().ok().filter(|port| *port > 0));
    match port {
        Some(None) => Err("the port is a number from 1 to 65535".to_owned()),
        port => Ok(Address { host, port: port.flatten() }),
    }
}

pub(super) fn registry(text: &str) -> Result<ServerAddress, String> {
    text.parse().map_err(|_| {
        "write the address of the registry as http://host:port, https://host:port or unix:/path".to_owned()
    })
}

pub(super) fn user(text: &str) -> Result<String, String> {
    htpasswd::user(text.as_bytes()).map(|_| text.to_owned()).map_err(|bad| bad.to_string())
}

pub(super) fn source(text: &str) -> Result<Source, String> {
    match text {
        "1" => Ok(Source::Private),
        "2" => Ok(Source::Files),
        "3" => Ok(Source::Acme),
        word => Source::from_str(word, true).map_err(|_| "write 1, 2 or 3".to_owned()),
    }
}

/// The absolute path of a file that is there.
pub(super) fn file(text: &str) -> Result<PathBuf, String> {
    let path = Path::new(text);
    if text.is_empty() || !path.is_file() {
        return Err(format!("there is no file {text:?}; write the path of a PEM file"));
    }
    std::path::absolute(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_a_port() {
        for (text, shown, listening) in [
            ("Registry.Example.com", "registry.example.com", "registry.example.com:8443"),
            ("registry.example.com:5043", "registry.example.com:5043", "registry.example.com:5043"),
            ("registry.example.com:443", "registry.example.com", "registry.example.com"),
            ("10.0.0.5", "10.0.0.5", "10.0.0.5:8443"),
            ("::1", "[::1]", "[::1]:8443"),
            ("[::1]", "[::1]", "[::1]:8443"),
            ("[fd00::5]:444", "[fd00::5]:444", "[fd00::5]:444"),
        ] {
            let address = name(text).unwrap();
            assert_eq!(
                (address.to_string(), address.with_port(8443)),
                (shown.to_owned(), listening.to_owned())
            );
        }
    }

    #[test]
    fn what_is_no_name_is_refused_with_a_reason() {
        for (text, reason) in [
            ("https://registry.example.com", "without scheme"),
            ("a:0", "from 1 to 65535"),
            ("a:b", "from 1 to 65535"),
            ("*.example.com", "without *"),
            ("", "a host name has letters"),
        ] {
            let refused = name(text).unwrap_err();
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }

    #[test]
    fn docker_trusts_only_loopback_addresses_of_ipv4() {
        for (text, expected) in
            [("localhost", true), ("127.0.0.1:5000", true), ("::1", false), ("example.com", false)]
        {
            assert_eq!(name(text).unwrap().is_loopback(), expected, "{text}");
        }
    }
}
