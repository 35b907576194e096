//! The addresses in an answer of a registry: `Location`, `Link`, `Content-Location`, challenges.
//!
//! The first line is the path of the request, the second the field. No field that a client gets
//! names the registry, and what is right already is not changed again.

use std::sync::LazyLock;

use http::{HeaderValue, StatusCode};
use regex::bytes::Regex;

use super::pieces::{field, texts};
use crate::header::authority::{Authority, HostPort};
use crate::header::challenge::parameters;
use crate::header::location::{Place, Rewriter};

const STATUSES: [StatusCode; 4] =
    [StatusCode::OK, StatusCode::CREATED, StatusCode::ACCEPTED, StatusCode::TEMPORARY_REDIRECT];

/// RFC 3986 appendix B, of an address of HTTP or without a scheme.
static REFERENCE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\A(?i-u:(https?):)?//([^/?#]*)").expect("the pattern is valid"));

/// Checks one input.
pub(super) fn locations(bytes: &[u8]) {
    let Some([asked, value]) = texts(bytes) else { return };
    let Some(value) = field(value.as_bytes()) else { return };
    let Some(client) = Authority::of_host_and_port("door.example:8443") else { return };
    let named = HostPort::parse("inner.example").ok();
    for (server, named, path) in
        [("registry:5000", None, ""), ("registry:8081", named, "/artifactory/local"), ("registry", None, "")]
    {
        let Some(server) = Authority::of_host_and_port(server) else { return };
        let servers = std::slice::from_ref(&server);
        for https in [true, false] {
            let registry = Place { servers, named, path };
            check(&Rewriter { https, client: &client, registry }, &value, asked);
        }
    }
}

fn check(rewriter: &Rewriter<'_>, value: &HeaderValue, asked: &str) {
    for status in STATUSES {
        let location = settled(rewriter, value, |value| rewriter.location(value, status));
        assert_foreign(location.as_bytes(), rewriter);
    }
    let address = settled(rewriter, value, |value| rewriter.address(value));
    assert_foreign(address.as_bytes(), rewriter);
    let link = settled(rewriter, value, |value| rewriter.link(value, asked));
    let mut rest = link.as_bytes();
    while let Some(start) = rest.iter().position(|byte| *byte == b'<') {
        let target = rest.get(start + 1..).unwrap_or_default();
        let Some(end) = target.iter().position(|byte| *byte == b'>') else { break };
        assert_foreign(target.get(..end).unwrap_or_default(), rewriter);
        rest = target.get(end..).unwrap_or_default();
    }
    let challenge = settled(rewriter, value, |value| rewriter.challenge(value));
    for (name, at) in parameters(challenge.as_bytes()) {
        if name.eq_ignore_ascii_case(b"realm") {
            assert_foreign(challenge.as_bytes().get(at).unwrap_or_default(), rewriter);
        }
    }
}

/// What the client gets. The same field from a second tidegate before this one would stay.
fn settled(
    rewriter: &Rewriter<'_>,
    value: &HeaderValue,
    rewrite: impl Fn(&HeaderValue) -> Option<HeaderValue>,
) -> HeaderValue {
    let once = rewrite(value).unwrap_or_else(|| value.clone());
    if rewriter.registry.path.is_empty() {
        let twice = rewrite(&once).unwrap_or_else(|| once.clone());
        assert_eq!(once, twice, "of {value:?}");
    }
    once
}

/// Fails on an address of the registry.
fn assert_foreign(reference: &[u8], rewriter: &Rewriter<'_>) {
    let Some(found) = REFERENCE.captures(reference) else { return };
    let (scheme, authority) = (found.get(1), found.get(2).map(|authority| authority.as_bytes()));
    let host = authority.and_then(|authority| authority.rsplit(|byte| *byte == b'@').next());
    let Some(host) = host.and_then(|host| HostPort::parse(str::from_utf8(host).ok()?).ok()) else { return };
    let port = match scheme.map(|scheme| scheme.as_bytes().len()) {
        Some(4) => 80,
        Some(_) => 443,
        None if rewriter.https => 443,
        None => 80,
    };
    let servers = rewriter.registry.servers.iter().map(Authority::host_port);
    for own in servers.chain(rewriter.registry.named) {
        assert!(host != own && host.or_port(port) != own.or_port(port), "{}", reference.escape_ascii());
    }
}
