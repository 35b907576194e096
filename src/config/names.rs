//! Host names, addresses to listen on, networks and URLs.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use super::complaint::Complaint;
use crate::header::authority::{Host, HostPort, within_brackets, without_dot};

pub(super) const HOST_NAME: &str = r#"a host name without port, such as "registry.example.com""#;

pub(super) const NETWORK: &str = r#"a network or an address, such as "10.0.0.0/8" or "192.0.2.7""#;

const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// Parses `HOST` or `HOST:PORT`, with `usual` as the port if there is none. The host has no
/// brackets.
pub(super) fn host_and_port(authority: &str, usual: u16) -> Result<(String, u16), Complaint> {
    let HostPort { host, port } = HostPort::parse(authority).map_err(|bad| bad.to_string())?;
    let host = match host {
        Host::Name(name) => host_name(name)?,
        Host::V6(address) => address.to_string(),
    };
    match port {
        Some(0) => Err("the port is not between 1 and 65535".into()),
        port => Ok((host, port.unwrap_or(usual))),
    }
}

/// Parses a host name or IPv4 address, returned in lower case (RFC 1123, section 2.1). Accepts
/// underscores too, because names in container networks have them.
pub(super) fn host_name(text: &str) -> Result<String, Complaint> {
    if text.is_empty() {
        return Err("the host name is empty".into());
    }
    if text.ends_with('.') {
        return Err("a host name does not end with a dot".into());
    }
    if !text.is_ascii() {
        return Err(
            "a host name that is not ASCII must be written in its xn-- form, as clients send it".into()
        );
    }
    if text.len() > LONGEST_NAME {
        return Err(format!("a host name has at most {LONGEST_NAME} characters").into());
    }
    for label in text.split('.') {
        let letters = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if label.is_empty()
            || label.len() > LONGEST_LABEL
            || !letters
            || label.starts_with('-')
            || label.ends_with('-')
        {
            return Err(format!("{label:?} cannot be part of a host name").into());
        }
    }
    Ok(text.to_ascii_lowercase())
}

/// Parses a name that clients ask for: a host name, an IPv4 address, or an IPv6 address, which gets
/// brackets. All spellings of a host give the same text.
pub(super) fn served_name(text: &str) -> Result<String, Complaint> {
    if text.contains("://") || text.contains('/') {
        return Err("a name is not a URL".into());
    }
    if text.starts_with("*.") {
        return Err("wildcards are not supported; list the names".into());
    }
    let bare = within_brackets(text).unwrap_or(text);
    if let Ok(address) = bare.parse::<Ipv6Addr>() {
        let mapped = address.to_ipv4_mapped().map(|address| address.to_string());
        return Ok(mapped.unwrap_or_else(|| format!("[{address}]")));
    }
    if text.contains(':') {
        return Err("a name has no port".into());
    }
    host_name(without_dot(text))
}

/// Parses a name that a certificate should cover: a DNS name, or an IP address, which is returned
/// without brackets.
pub(super) fn certified_name(text: &str) -> Result<String, Complaint> {
    if text.starts_with("*.") {
        return Err(
            "a wildcard needs the challenge dns-01, which tidegate does not support; list the names".into()
        );
    }
    match within_brackets(text).unwrap_or(text).parse::<IpAddr>() {
        Ok(address) => Ok(address.to_canonical().to_string()),
        Err(_) => served_name(text),
    }
}

/// Checks the URL of an ACME directory: https (RFC 8555, section 6.1), without a user.
pub(super) fn directory_url(text: &str) -> Result<String, Complaint> {
    let url: http::Uri = text.parse().map_err(|_| "it is not a URL")?;
    match (url.scheme_str(), url.authority()) {
        (Some("https"), Some(authority)) if !authority.as_str().contains('@') => Ok(text.to_owned()),
        (Some("https"), _) => Err("a user is not allowed here".into()),
        _ => Err("it does not begin with https://".into()),
    }
}

/// Parses an IP address and a port. Port 0 lets the system choose.
pub(super) fn socket_address(text: &str) -> Result<SocketAddr, Complaint> {
    text.parse().map_err(|_| {
        let complaint = if text.parse::<IpAddr>().is_ok() {
            "the port is missing"
        } else if text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with(':') {
            "the IP address before the port is missing; 0.0.0.0 stands for every IPv4 address, [::] for all"
        } else if text.contains("://") {
            "it is a URL, not an IP address and a port"
        } else if text.starts_with('*') || HostPort::parse(text).is_ok_and(|read| read.port.is_some()) {
            "it is not a valid IP address and port; names are not looked up"
        } else {
            "it is not a valid IP address and port"
        };
        complaint.into()
    })
}

/// Parses a network in CIDR notation, or one address. Bits beyond the prefix are cleared.
pub(super) fn network(text: &str) -> Result<IpNet, Complaint> {
    if let Ok(network) = text.parse::<IpNet>() {
        return Ok(network.trunc());
    }
    text.parse::<IpAddr>().map(IpNet::from).map_err(|_| match text.split_once('/') {
        Some((address, _)) if address.parse::<IpAddr>().is_ok() => "the prefix length is too large".into(),
        _ => "it is not an IP network".into(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn served_names() {
        assert_eq!(served_name("Registry.Example.COM"), Ok("registry.example.com".to_owned()));
        assert_eq!(served_name("10.0.0.1"), Ok("10.0.0.1".to_owned()));
        assert_eq!(served_name("0:0::1"), Ok("[::1]".to_owned()));
        assert_eq!(served_name("[::1]"), Ok("[::1]".to_owned()));
        assert_eq!(served_name("[0:0:0:0:0:0:0:1]"), Ok("[::1]".to_owned()));
        assert_eq!(served_name("::ffff:192.0.2.1"), Ok("192.0.2.1".to_owned()));
        assert_eq!(served_name("Registry.Example.COM."), Ok("registry.example.com".to_owned()));
        for bad in [
            "",
            ".",
            "a..",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a:443",
            "https://a",
            "a/b",
            "*.a",
            "ä.de",
            "a\n",
            "[::1]:5",
        ] {
            assert!(served_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn socket_addresses() {
        assert_eq!(socket_address("0.0.0.0:443").unwrap().port(), 443);
        assert!(socket_address("[::]:0").is_ok());
        for bad in [
            "",
            "443",
            ":443",
            "*:443",
            "localhost:443",
            "0.0.0.0",
            "::443",
            "0.0.0.0:65536",
            "https://0.0.0.0",
        ] {
            assert!(socket_address(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn networks() {
        assert_eq!(network("10.1.2.3/8"), Ok("10.0.0.0/8".parse().unwrap()));
        assert_eq!(network("192.0.2.7"), Ok("192.0.2.7/32".parse().unwrap()));
        assert_eq!(network("fd00::/8"), Ok("fd00::/8".parse().unwrap()));
        assert_eq!(network("10.0.0.0/33"), Err("the prefix length is too large".into()));
        assert!(network("proxies").is_err());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in ".*") {
            let _ = (served_name(&text), socket_address(&text), network(&text), host_name(&text));
        }
    }
}
