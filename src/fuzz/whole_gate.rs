//! What a client sends over one connection, from its first byte to its end.
//!
//! Without the password, no request reaches the registry. With it, the registry gets no more
//! requests than the client sent and those for the rest of a catalog, each in a form that every
//! reader understands alike, and only for what the user may do. Each answer is whole.

use std::net::IpAddr;

use form_urlencoded::parse;
use http::Method;

use super::door::{Door, Exchange};
use super::strict_http::{Framing, Head};
use crate::registry::target::decode;

/// `alice:secret` in base64, which has no other form.
const PASSWORD: &str = "YWxpY2U6c2VjcmV0";
const CATALOG: &str = "/v2/_catalog";

/// Checks one input.
pub(super) fn whole_gate(bytes: &[u8]) {
    thread_local!(static DOOR: Door = Door::open().expect("the system gives a socket and files"));
    let exchange = DOOR.with(|door| door.send(bytes)).expect("the connection ends");
    let Exchange { client, asked, answered, seen } = &exchange;
    let is_known = has(bytes, PASSWORD);
    assert!(is_known || seen.is_empty(), "{seen:?}");
    // hyper may have read some of them as the end of a body, but never makes more of them.
    let sent = bytes.windows(7).filter(|window| *window == b"HTTP/1.").count();
    assert!(asked.len() <= sent, "{asked:?}");
    let seen: Vec<_> =
        seen.iter().map(|head| head.as_ref().expect("every reader understands the request")).collect();
    // A page that lacks hidden names is completed with one more request: this registry has few.
    let catalogs = asked.iter().filter(|(_, path)| decode(path) == CATALOG).count();
    let pages = seen.iter().filter(|head| path(head) == CATALOG).count();
    assert!(pages <= 2 * catalogs, "{seen:?} of {asked:?}");
    assert!(seen.len() - pages <= asked.len() - catalogs, "{seen:?} of {asked:?}");
    for head in seen {
        forwarded(head, *client);
    }
    answers(answered, asked);
}

fn has(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Method and target.
fn request_line(head: &Head) -> (&str, &str) {
    match head.start.split(' ').collect::<Vec<_>>()[..] {
        [method, target, "HTTP/1.1"] => (method, target),
        _ => panic!("{:?}", head.start),
    }
}

fn path(head: &Head) -> String {
    let (_, target) = request_line(head);
    decode(target.split_once('?').map_or(target, |(path, _)| path)).into_owned()
}

fn forwarded(head: &Head, client: IpAddr) {
    let (method, target) = request_line(head);
    assert!(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"].contains(&method), "{head:?}");
    let (_, query) = target.split_once('?').unwrap_or((target, ""));
    let path = path(head);
    let is_granted = path == "/v2/" || path == CATALOG || path.starts_with("/v2/team/");
    assert!(is_granted && !path.contains("//"), "{head:?}");
    assert!(!path.split('/').any(|segment| matches!(segment, "." | "..")), "{head:?}");
    // Only a POST can be a mount.
    for (_, source) in parse(query.as_bytes()).filter(|(name, _)| method == "POST" && name == "from") {
        assert!(source == "team" || source.starts_with("team/"), "{head:?}");
    }
    let framing = head.framing().expect("the request has one framing");
    assert!(framing.is_none() || !["GET", "HEAD"].contains(&method), "{head:?}");
    assert_eq!(head.values("host").len(), 1, "{head:?}");
    assert_eq!(head.values("x-forwarded-for"), [client.to_string()]);
    for name in ["upgrade", "te", "trailer", "forwarded", "proxy-authorization", "proxy-connection"] {
        assert!(head.values(name).is_empty(), "{head:?}");
    }
    assert!(!head.values("authorization").concat().contains(PASSWORD), "{head:?}");
}

/// Reads all answers. The last may be hyper's own, to what it could not read.
fn answers(mut bytes: &[u8], asked: &[(Method, String)]) {
    let mut asked = asked.iter();
    while !bytes.is_empty() {
        let read = Head::read(bytes).expect("every reader understands the answer");
        let (head, length) = read.expect("the head is whole");
        bytes = bytes.get(length..).unwrap_or_default();
        let status = head.start.strip_prefix("HTTP/1.1 ").or(head.start.strip_prefix("HTTP/1.0 "));
        let status = status.and_then(|rest| rest.get(..3)).and_then(|status| status.parse::<u16>().ok());
        let status = status.expect("there is a status");
        if status == 100 {
            continue;
        }
        let question = asked.next();
        if let Some((_, path)) = question.filter(|(_, path)| path.starts_with("/v2/")) {
            let version = head.values("docker-distribution-api-version");
            assert_eq!(version, ["registry/2.0"], "{head:?} to {path:?}");
        } else if question.is_none() {
            assert!((400..600).contains(&status) && asked.len() == 0, "{head:?}");
        }
        let is_head = question.is_some_and(|(method, _)| method == Method::HEAD);
        let framing = head.framing().expect("the answer has one framing");
        if is_head || matches!(status, 204 | 304) {
            continue;
        }
        let length = framing.unwrap_or(Framing::UntilClose).length(bytes);
        let length = length.expect("every reader understands the body").expect("the body is whole");
        bytes = bytes.get(length..).unwrap_or_default();
    }
}
