//! The fields in which proxies name the client, its host and its scheme, as lines of a head.
//!
//! The client is the peer or an address of the chain. Only a trusted peer is believed. No claim of
//! a client reaches the registry.

use std::net::{IpAddr, Ipv4Addr};

use http::{HeaderMap, HeaderName, HeaderValue};
use ipnet::{IpNet, Ipv4Net};

use super::pieces::field;
use crate::header::forwarded::{self, is_trusted};
use crate::header::forwarded_host;

/// Checks one input.
pub(super) fn forwarded_fields(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else { return };
    let peer = IpAddr::V4(Ipv4Addr::new(10, 0, 0, *first));
    let Ok(net) = Ipv4Net::new(Ipv4Addr::new(10, 0, 0, 0), 25) else { return };
    let trusted = [IpNet::V4(net), IpNet::from(IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]))];
    let mut headers = HeaderMap::new();
    for line in rest.split(|byte| *byte == b'\n').take(20) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().and_then(|name| HeaderName::from_bytes(name).ok());
        headers_append(&mut headers, name.zip(parts.next().and_then(field)));
    }
    let client = forwarded::client(&headers, peer, &trusted);
    let chain: Result<Vec<IpAddr>, _> = client.forwarded_for.split(", ").map(str::parse).collect();
    let chain = chain.expect("the chain holds addresses");
    assert_eq!((client.peer, chain.last()), (peer, Some(&peer)));
    assert!(chain.contains(&client.address) && client.proxies <= chain.len());
    if !is_trusted(peer, &trusted) {
        assert_eq!((client.proxies, client.address, client.https), (0, peer, true));
        assert!(chain.len() == 1, "{chain:?}");
        assert!(matches!(forwarded_host::read(&headers, client.proxies, client.https), Ok(None)));
    }
    if let Ok(Some(host)) = forwarded_host::read(&headers, client.proxies, client.https) {
        assert!(!host.as_str().contains([' ', ',', '/', '@']), "{host:?}");
    }
    // All that stands between the client and the peer is trusted.
    let passed = chain.iter().rev().take(client.proxies);
    if client.proxies > 0 {
        assert!(passed.clone().all(|proxy| is_trusted(*proxy, &trusted)), "{client:?}");
    }
    let kept: Vec<HeaderName> = headers.keys().filter(|name| is_plain(name)).cloned().collect();
    forwarded::rewrite(&mut headers, &client, &HeaderValue::from_static("door.example"));
    let written = ["x-real-ip", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
    for name in written {
        assert_eq!(headers.get_all(name).iter().count(), 1, "{name}");
    }
    for name in headers.keys().map(HeaderName::as_str).filter(|name| !written.contains(name)) {
        assert!(!name.starts_with("x-forwarded") && !name.ends_with("client-ip"), "{name}");
        assert!(!name.contains(['_', '.']) && name != "forwarded", "{name}");
    }
    assert!(kept.iter().all(|name| headers.contains_key(name)), "{kept:?}");
}

fn headers_append(headers: &mut HeaderMap, field: Option<(HeaderName, HeaderValue)>) {
    if let Some((name, value)) = field {
        headers.append(name, value);
    }
}

/// Some names that are no claims.
fn is_plain(name: &HeaderName) -> bool {
    ["accept", "authorization", "content-type", "host", "range", "user-agent"].contains(&name.as_str())
}
