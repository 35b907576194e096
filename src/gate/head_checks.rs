//! What a request has to be before anything is made of it: the checks that hyper leaves to a proxy.
//!
//! Every function here is one verdict; [`check`] is the list of them. When in doubt the request is
//! refused with 400, its connection is closed and nothing reaches the registry.

use std::net::Ipv6Addr;
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use http_body::Body;
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::reject::Refusal;
use crate::body::{ClientFault, UnreadBody};
use crate::config::{Config, Limits};

/// The methods of the registry API.
pub(super) const METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE";

/// Bytes of a body that are sent in one go.
const SHORT: u64 = 64 * 1024;
/// How long they may be on their way.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Runs all checks. Returns the host and port that the client asked for, as it wrote them.
pub(super) fn check<B: Body>(request: &Request<B>, config: &Config) -> Result<HeaderValue, Refusal> {
    method(request.method())?;
    field_values(request.headers())?;
    head_size(request, &config.limits)?;
    transfer_encoding(request)?;
    content_length(request.headers())?;
    singletons(request.headers())?;
    bodiless(request)?;
    request_target(request)?;
    path(request.uri().path())?;
    query(request.uri().query().unwrap_or_default())?;
    let authority = authority(request)?;
    served_name(&authority, &config.server.names)?;
    expect(request.headers())?;
    Ok(authority)
}

/// Runs all checks. Returns the host that the client asked for, without its port.
pub(super) fn host<B: Body>(request: &Request<B>, config: &Config) -> Result<String, Refusal> {
    let authority = check(request, config)?;
    let host = authority.to_str().ok().and_then(host_of);
    host.map(str::to_owned).ok_or(Refusal::Malformed("the request names no host"))
}

/// Whether there is something to read after the head.
pub(super) fn has_body<B: Body>(request: &Request<B>) -> bool {
    !request.body().is_end_stream()
}

/// The length that the client declared.
pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn method(method: &Method) -> Result<(), Refusal> {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Ok(()),
        _ => Err(Refusal::Method),
    }
}

/// RFC 9110 section 5.5: no control characters, no white space around a value.
fn field_values(headers: &HeaderMap) -> Result<(), Refusal> {
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    let space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    let bad = |value: &[u8]| value.iter().any(control) || space(value.first()) || space(value.last());
    match headers.values().any(|value| bad(value.as_bytes())) {
        true => Err(Refusal::Malformed("a header value holds a control character or stray white space")),
        false => Ok(()),
    }
}

/// hyper counts the same for HTTP/1.1; HTTP/2 has no limit on the number of fields.
fn head_size<B>(request: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let fields = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    // HTTP/2 sends a cookie in as many fields as it likes.
    let crumbs = request.headers().get_all(header::COOKIE).iter().count().saturating_sub(1);
    let count = request.headers().len() - crumbs;
    match fields.sum::<usize>() + target > limits.header_bytes || count > limits.headers {
        true => Err(Refusal::HeadTooLarge),
        false => Ok(()),
    }
}

/// RFC 9112 section 6.1: `chunked` and nothing else, in one line, and not in HTTP/1.0 or HTTP/2.
fn transfer_encoding<B>(request: &Request<B>) -> Result<(), Refusal> {
    match single(request.headers(), header::TRANSFER_ENCODING) {
        Ok(None) => Ok(()),
        Ok(Some(value))
            if request.version() == Version::HTTP_11 && value.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(())
        }
        Ok(Some(_)) | Err(_) => Err(Refusal::Malformed("Transfer-Encoding may only be chunked")),
    }
}

/// RFC 9112 section 6.3; hyper has read the number, HTTP/2 has compared it with the data.
fn content_length(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(value) = single(headers, header::CONTENT_LENGTH)? else {
        return Ok(());
    };
    let number = value.as_bytes();
    let digits = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    match digits && !headers.contains_key(header::TRANSFER_ENCODING) {
        true => Ok(()),
        false => Err(Refusal::Malformed("Content-Length is not one plain number")),
    }
}

/// Fields with one value, of which one reader takes the first and another the last.
fn singletons(headers: &HeaderMap) -> Result<(), Refusal> {
    const NAMES: [HeaderName; 5] = [
        header::CONTENT_TYPE,
        header::CONTENT_RANGE,
        header::CONTENT_ENCODING,
        header::RANGE,
        header::USER_AGENT,
    ];
    NAMES.into_iter().try_for_each(|name| single(headers, name).map(|_| ()))
}

/// RFC 9110 section 9.3.1: content in a GET or HEAD means nothing, and hides a second request at best.
/// Of HTTP/2 the frames have to be seen: [`settle_body`].
fn bodiless<B: Body>(request: &Request<B>) -> Result<(), Refusal> {
    match request.version() != Version::HTTP_2 && has_body(request) && is_read(request.method()) {
        true => Err(NO_BODY),
        false => Ok(()),
    }
}

const NO_BODY: Refusal = Refusal::Malformed("there is a body where there can be none");

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// An HTTP/2 request may end in a frame after its head. One that can have no body is waited for, so that it is forwarded as
/// what it turns out to be.
pub(super) async fn settle_body(
    request: &mut Request<UnreadBody>,
    patience: Duration,
) -> Result<(), Refusal> {
    let no_body = declared_length(request.headers()) == Some(0) || is_read(request.method());
    if request.version() != Version::HTTP_2 || !no_body {
        return Ok(());
    }
    let deadline = Instant::now() + patience;
    while has_body(request) {
        match timeout_at(deadline, request.body_mut().frame()).await {
            Ok(Some(Ok(frame))) if frame.data_ref().is_some_and(|data| !data.is_empty()) => {
                return Err(NO_BODY);
            }
            Ok(Some(Ok(_))) => {}
            Ok(None) if !has_body(request) => {}
            Ok(None | Some(Err(_))) => return Err(Refusal::Client(ClientFault::Gone)),
            Err(_elapsed) => return Err(Refusal::Client(ClientFault::TooSlow)),
        }
    }
    Ok(())
}

/// Over HTTP/2 a short body is let come before its request is refused: it is on its way, and curl takes a stream that ends while it
/// sends for a broken one, and shows no answer. Who waits for a 100 is not waited for.
pub(super) async fn drain_small_body(request: &mut Request<UnreadBody>) {
    let is_short = declared_length(request.headers()).is_some_and(|length| length <= SHORT);
    if request.version() != Version::HTTP_2 || !is_short || request.headers().contains_key(header::EXPECT) {
        return;
    }
    let rest = async { while let Some(Ok(_)) = request.body_mut().frame().await {} };
    // What has not come by then is not coming.
    _ = timeout(ON_ITS_WAY, rest).await;
}

/// RFC 9112 section 3.2: origin-form, or absolute-form for the scheme of this connection.
fn request_target<B>(request: &Request<B>) -> Result<(), Refusal> {
    let uri = request.uri();
    let scheme = match uri.scheme() {
        Some(scheme) => scheme.as_str().eq_ignore_ascii_case("https"),
        None => uri.authority().is_none(),
    };
    match scheme && uri.path().starts_with('/') {
        true => Ok(()),
        false => Err(Refusal::Malformed("the request target is not a path of this server")),
    }
}

/// A path that somebody may read otherwise than we do: dot segments, empty segments, backslashes,
/// escaped separators and control characters, bad escapes, characters outside RFC 3986.
fn path(path: &str) -> Result<(), Refusal> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        if (segment.is_empty() && !last) || is_dots(segment) {
            return Err(Refusal::Path);
        }
        let separators = |byte| byte == b'/' || byte == b'\\' || byte < b' ' || byte == 0x7f;
        if !escapes(segment.as_bytes(), b":@", separators) {
            return Err(Refusal::Path);
        }
    }
    Ok(())
}

/// `.` or `..`, escaped or not.
fn is_dots(segment: &str) -> bool {
    let dot = |rest: &str| {
        let length = if rest.starts_with('.') { 1 } else { 3 };
        let dot = rest.get(..length)?;
        (dot == "." || dot.eq_ignore_ascii_case("%2e")).then_some(length)
    };
    let Some(first) = dot(segment) else { return false };
    let rest = &segment[first..];
    rest.is_empty() || dot(rest) == Some(rest.len())
}

fn query(query: &str) -> Result<(), Refusal> {
    if escapes(query.as_bytes(), b":@/?", |_| false) { Ok(()) } else { Err(Refusal::Path) }
}

/// RFC 9110 section 7.2: exactly one, and every place that names the host names the same.
fn authority<B>(request: &Request<B>) -> Result<HeaderValue, Refusal> {
    const DIFFERENT: Refusal = Refusal::Malformed("the request names two hosts");
    let host = single(request.headers(), header::HOST)?;
    let named = match request.uri().authority() {
        Some(authority) => Some(HeaderValue::try_from(authority.as_str()).map_err(|_| DIFFERENT)?),
        None => None,
    };
    let authority = match (named, host) {
        (Some(named), Some(host)) if !same_host(named.as_bytes(), host.as_bytes()) => return Err(DIFFERENT),
        (_, Some(host)) => host.clone(),
        (Some(named), None) if request.version() == Version::HTTP_2 => named,
        (_, None) => return Err(Refusal::Malformed("the request names no host")),
    };
    match authority.to_str().is_ok_and(|text| host_of(text).is_some()) {
        true => Ok(authority),
        false => Err(Refusal::Malformed("the host is not a name or address with an optional port")),
    }
}

fn served_name(authority: &HeaderValue, names: &[String]) -> Result<(), Refusal> {
    let host = authority.to_str().ok().and_then(host_of).unwrap_or_default();
    match names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case(host)) {
        true => Ok(()),
        false => Err(Refusal::Misdirected),
    }
}

/// RFC 9110 section 10.1.1. hyper sends the 100 when the body is first read, so not before we have decided.
fn expect(headers: &HeaderMap) -> Result<(), Refusal> {
    match single(headers, header::EXPECT) {
        Ok(None) => Ok(()),
        Ok(Some(value)) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        Ok(Some(_)) | Err(_) => Err(Refusal::Expectation),
    }
}

/// The only line of a field, if there is one.
fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Refusal> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (line, None) => Ok(line),
        (_, Some(_)) => Err(Refusal::Malformed("a field that may come once came twice")),
    }
}

/// The host without its port: a name, an IPv4 address, or an IPv6 address in brackets.
pub(super) fn host_of(authority: &str) -> Option<&str> {
    let bracket = authority.find(']').map_or(0, |at| at + 1);
    let (host, port) = match authority.get(bracket..)?.split_once(':') {
        Some((before, port)) => (authority.get(..bracket + before.len())?, Some(port)),
        None => (authority, None),
    };
    let port_fits = port.is_none_or(|port| {
        port.is_empty() || (port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok())
    });
    let host_fits = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()),
        None => {
            !host.is_empty()
                && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
        }
    };
    (port_fits && host_fits).then_some(host)
}

/// Equal without regard to case and to the port that https has anyway.
fn same_host(one: &[u8], other: &[u8]) -> bool {
    let bare = |host: &[u8]| {
        let port =
            [b":443".as_slice(), b":"].into_iter().find(|port| host.ends_with(port)).unwrap_or_default();
        host[..host.len() - port.len()].to_ascii_lowercase()
    };
    bare(one) == bare(other)
}

/// Whether `text` holds only unreserved characters, sub-delims, `more` and escapes of two hex
/// digits of which none stands for a byte that is `forbidden` in escaped form.
fn escapes(text: &[u8], more: &[u8], forbidden: impl Fn(u8) -> bool) -> bool {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        let fits = match byte {
            b'%' => match (digit(bytes.next()), digit(bytes.next())) {
                (Some(high), Some(low)) => u8::try_from(high * 16 + low).is_ok_and(|byte| !forbidden(byte)),
                _ => false,
            },
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte) || more.contains(&byte),
        };
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (authority, host) in [
            ("localhost", "localhost"),
            ("registry.example.com:5043", "registry.example.com"),
            ("[::1]:443", "[::1]"),
            ("[2001:db8::1]", "[2001:db8::1]"),
            ("127.0.0.1:1", "127.0.0.1"),
            ("localhost:", "localhost"),
        ] {
            assert_eq!(host_of(authority), Some(host), "{authority}");
        }
        for authority in [
            "", ":443", "a:b", "a:99999", "a,b", "a b", "u@a", "a/b", "[::1", "::1", "[x]", "a:1:2",
            "[::1]x:1",
        ] {
            assert_eq!(host_of(authority), None, "{authority}");
        }
    }

    #[test]
    fn paths() {
        for good in ["/", "/v2/", "/v2/a/b/blobs/sha256:00", "/v2/a%20b/", "/v2/a..b/...", "/v2/%252e%252e/x"]
        {
            assert!(path(good).is_ok(), "{good}");
        }
        for bad in [
            "/v2//",
            "//v2/",
            "/v2/./x",
            "/v2/..",
            "/v2/%2e%2E/x",
            "/v2/.%2e",
            "/v2/a%2fb",
            "/v2/a%5cb",
            "/v2/\\x",
            "/v2/%00",
            "/v2/%0d%0a",
            "/v2/%zz",
            "/v2/%2",
            "/v2/a|b",
            "/v2/\"",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn queries() {
        assert!(query("digest=sha256%3Aaaa&_state=a_-%3D%3D&x=/../").is_ok());
        assert!(query("a=%").is_err());
        assert!(query("a=b c").is_err());
    }
}
