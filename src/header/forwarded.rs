//! The client behind trusted proxies, and the fields that tell the registry about it.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HeaderName, HeaderValue, VIA};
use ipnet::IpNet;

use super::authority::within_brackets;
use super::single::single;
use crate::network::address_text;

static X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
static X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Most proxies in a chain that are read and passed on, counted from the nearest.
const MAX_HOPS: usize = 32;
/// Longest text that is read as an address: an IPv6 address in brackets, with its port.
const MAX_ADDRESS: usize = 64;

/// The client of a request. IPv4-mapped IPv6 addresses are converted to IPv4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// The client of the connection, which may be a proxy.
    pub peer: IpAddr,
    /// The address of the client: the peer's, unless a trusted proxy named another.
    pub address: IpAddr,
    /// Whether the client speaks TLS: true, unless a trusted proxy said `X-Forwarded-Proto: http`.
    pub https: bool,
    /// How many trusted proxies stand between the client and tidegate: 0 if the peer is the client.
    pub proxies: usize,
    /// The new value of `X-Forwarded-For`: what a trusted peer sent, and the peer.
    pub forwarded_for: String,
}

/// Finds the client behind the proxies in `trusted`. Must run before [`super::hop::strip`]:
/// otherwise a client could hide behind a proxy by naming `X-Forwarded-For` in `Connection`.
///
/// Starts at the peer and reads all `X-Forwarded-For` lines from right to left while the address is
/// trusted. An entry that is not an address ends the walk. The fields of an untrusted peer are
/// ignored.
pub fn client(headers: &HeaderMap, peer: IpAddr, trusted: &[IpNet]) -> Client {
    let peer = peer.to_canonical();
    if !is_trusted(peer, trusted) {
        return Client { peer, address: peer, https: true, proxies: 0, forwarded_for: address_text(peer) };
    }
    let hops = hops(headers);
    let (mut address, mut walked) = (peer, 0);
    for hop in hops.iter().rev() {
        match hop {
            Some(hop) if is_trusted(address, trusted) => address = *hop,
            _ => break,
        }
        walked += 1;
    }
    let chain: Vec<String> = hops.iter().flatten().chain([&peer]).map(IpAddr::to_string).collect();
    Client {
        peer,
        address,
        https: !says_http(headers),
        proxies: walked.max(1),
        forwarded_for: chain.join(", "),
    }
}

/// Drops every field in which a client could claim an address, a name, a host, a path or a method,
/// then inserts what is known. `host` is the authority that the client asked for.
pub fn rewrite(headers: &mut HeaderMap, client: &Client, host: &HeaderValue) {
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name.as_str())).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
    let chain = HeaderValue::try_from(client.forwarded_for.as_str());
    // Without proxies, the chain is the client alone.
    let address =
        if client.proxies == 0 { &chain } else { &HeaderValue::try_from(address_text(client.address)) };
    if let Ok(address) = address {
        headers.insert(&X_REAL_IP, address.clone());
    }
    if let Ok(chain) = chain {
        headers.insert(&X_FORWARDED_FOR, chain);
    }
    let proto = if client.https { "https" } else { "http" };
    headers.insert(&X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    headers.insert(&X_FORWARDED_HOST, host.clone());
}

/// Whether a proxy has passed the request on, as far as it says so.
pub(crate) fn is_passed_on(headers: &HeaderMap) -> bool {
    headers.contains_key(VIA) || headers.keys().any(|name| is_claim(name.as_str()))
}

/// The nearest entries of the received chain, left to right; `None` for one that is not an address.
/// Empty entries are skipped (RFC 9110 section 5.6.1).
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    let mut hops: Vec<_> = headers
        .get_all(&X_FORWARDED_FOR)
        .iter()
        .rev()
        .flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .filter(|entry| !entry.is_empty())
        .take(MAX_HOPS)
        .map(address)
        .collect();
    hops.reverse();
    hops
}

/// Reads `192.0.2.1`, `192.0.2.1:555`, `2001:db8::1`, `[2001:db8::1]` and `[2001:db8::1]:99`.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(entry).ok().filter(|text| text.len() <= MAX_ADDRESS)?;
    let address = match within_brackets(text) {
        Some(inner) => IpAddr::V6(inner.parse().ok()?),
        None => {
            text.parse().or_else(|_| text.parse().map(|socket: std::net::SocketAddr| socket.ip())).ok()?
        }
    };
    Some(address.to_canonical())
}

/// Whether an address is that of a trusted proxy.
pub fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    trusted.iter().any(|net| match (net, address) {
        // A network written as ::ffff:192.0.2.0/120 means the IPv4 one. ::/0 does not: to trust all
        // of IPv6 says nothing about IPv4.
        (IpNet::V6(v6), IpAddr::V4(v4)) => {
            v6.prefix_len() >= 96 && v6.addr().to_ipv4_mapped().is_some() && v6.contains(&v4.to_ipv6_mapped())
        }
        _ => net.contains(&address),
    })
}

/// Whether there is exactly one `X-Forwarded-Proto`, and it is `http`, in any case (RFC 3986
/// section 3.1).
fn says_http(headers: &HeaderMap) -> bool {
    single(headers, &X_FORWARDED_PROTO).is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"http"))
}

/// Whether some proxy or application server trusts this field about a client. `name` is in lower
/// case, as [`HeaderName`] keeps it.
fn is_claim(name: &str) -> bool {
    // What nearly every request has, and nothing else.
    if matches!(
        name,
        "host"
            | "user-agent"
            | "accept"
            | "accept-encoding"
            | "authorization"
            | "connection"
            | "content-length"
            | "content-type"
            | "range"
            | "transfer-encoding"
    ) {
        return false;
    }
    // CGI-style backends fold all other characters into one, so that X_Real_IP and X.Real.IP arrive
    // as X-Real-IP.
    if name.bytes().any(|byte| !byte.is_ascii_alphanumeric() && byte != b'-') {
        return true;
    }
    if ["client-ip", "real-ip", "connecting-ip"].iter().any(|suffix| name.ends_with(suffix)) {
        return true;
    }
    match name.strip_prefix("x-") {
        Some(rest) => {
            matches!(
                rest,
                "proxyuser-ip"
                    | "originating-ip"
                    | "appengine-user-ip"
                    | "azure-clientip"
                    | "azure-socketip"
                    | "arr-clientcert"
                    | "rewrite-url"
                    | "method-override"
                    | "host"
                    | "scheme"
                    | "url-scheme"
                    | "true-ip"
                    | "clientip"
                    | "source-ip"
                    | "clientcert"
                    | "subject-dn"
                    | "https"
                    | "ssl"
                    | "script-name"
                    | "rewrite-uri"
                    | "request-uri"
                    | "override-url"
                    | "backend-host"
                    | "proxy-user"
            ) || [
                "forwarded",
                "forwarder",
                "real-",
                "cert",
                "consumer-",
                "authentik-",
                "vouch-",
                "pomerium-",
                "client-",
                "ssl-",
                "tls-",
                "original-",
                "http-method",
                "http-host-override",
                "remote-",
                "webauth-",
                "auth-",
                "authenticated-",
                "envoy-",
                "user",
                "tidegate-",
                "amzn-oidc-",
                "goog-authenticated-user-",
                "goog-iap-",
                "ms-client-principal",
            ]
            .iter()
            .any(|prefix| rest.starts_with(prefix))
        }
        None => {
            matches!(
                name,
                "forwarded"
                    | "cf-connecting-ipv6"
                    | "client-cert"
                    | "client-cert-chain"
                    | "front-end-https"
                    | "forwarded-for"
                    | "cdn-src-ip"
                    | "wl-proxy-ssl"
                    | "host-override"
                    | "impersonate-user"
                    // CGI programs read this one from HTTP_PROXY and use it as their own proxy.
                    | "proxy"
            ) || ["ssl-", "remote-", "cf-access-", "tailscale-user-"]
                .iter()
                .any(|prefix| name.starts_with(prefix))
        }
    }
}

#[cfg(test)]
mod tests;
