//! The head of a request as hyper hands it over: a line with version, method and target, a field a
//! line, and after an empty line the body.
//!
//! A head that passes the checks is unambiguous: one host, one framing, a path without a second
//! reading.

use std::net::{IpAddr, Ipv4Addr};

use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, Version};
use http_body_util::Full;

use super::door::Door;
use super::pieces::field;
use crate::gate::check_plain;
use crate::header::authority::HostPort;

/// Checks one input.
pub(super) fn request_heads(bytes: &[u8]) {
    thread_local!(static DOOR: Door = Door::open().expect("the system gives a socket and files"));
    let Some(request) = request(bytes) else { return };
    let mut host = None;
    let answer = DOOR.with(|door| {
        let peer = IpAddr::V4(Ipv4Addr::LOCALHOST);
        check_plain(&request, &door.state(), peer, |named, proxies| {
            assert!(!proxies);
            host = Some(named.to_owned());
            Response::new(Full::default())
        })
    });
    match host {
        Some(host) => passed(&request, &host),
        None => assert!(answer.status().is_client_error(), "{answer:?}"),
    }
}

fn request(bytes: &[u8]) -> Option<Request<Full<Bytes>>> {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut start = lines.next()?.splitn(3, |byte| *byte == b' ');
    let version = match start.next()? {
        b"0" => Version::HTTP_10,
        b"1" => Version::HTTP_11,
        _ => Version::HTTP_2,
    };
    let request = Request::builder().version(version).method(start.next()?).uri(start.next()?);
    let mut request = request.body(Full::default()).ok()?;
    for line in lines.by_ref().take_while(|line| !line.is_empty()) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = HeaderName::from_bytes(parts.next()?).ok()?;
        request.headers_mut().append(name, field(parts.next()?)?);
    }
    let body = lines.next().unwrap_or_default();
    *request.body_mut() = Full::from(body.to_vec());
    Some(request)
}

fn passed(request: &Request<Full<Bytes>>, host: &str) {
    let count = |name: &str| request.headers().get_all(name).iter().count();
    for name in ["host", "content-length", "transfer-encoding", "expect", "content-type", "range"] {
        assert!(count(name) <= 1, "{name} in {request:?}");
    }
    assert!(count("content-length") + count("transfer-encoding") <= 1, "{request:?}");
    assert!(count("transfer-encoding") == 0 || request.version() == Version::HTTP_11, "{request:?}");
    assert!(![Method::CONNECT, Method::TRACE].contains(request.method()), "{request:?}");
    let path = request.uri().path();
    let decoded: Vec<u8> = percent_encoding::percent_decode_str(path).collect();
    assert!(path.starts_with('/') && decoded.iter().all(|byte| *byte >= b' ' && *byte != 0x7f), "{path:?}");
    assert_eq!(decoded.split(|byte| *byte == b'/').count(), path.split('/').count(), "{path:?}");
    for segment in decoded.split(|byte| *byte == b'/') {
        assert!(!matches!(segment, b"." | b"..") && !segment.contains(&b'\\'), "{path:?}");
    }
    assert!(!path.contains("//"), "{path:?}");
    let read = HostPort::parse(host).expect("the host is one");
    assert!(read.port.is_none(), "{host:?}");
    let named = request.headers().get("host").and_then(|host| host.to_str().ok());
    if let Some(named) = named.or(request.uri().authority().map(|named| named.as_str())) {
        let named = HostPort::parse(named).expect("the field names a host");
        assert_eq!(HostPort { port: None, ..named }, read);
    }
}
