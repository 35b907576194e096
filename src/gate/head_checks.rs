//! The checks of a request's head that hyper leaves to a proxy.
//!
//! Every function here checks one thing; [`check`] is the list of them. A request in doubt is
//! refused with 400, its connection is closed and nothing reaches the registry.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Version, header};
use http_body::Body;

use super::refusal::Refusal;
use crate::config::Limits;
use crate::header::authority::{Authority, HostPort};

/// A body where none is allowed.
pub(super) const NO_BODY: Refusal = Refusal::Malformed("there is a body where there can be none");

/// A field of a single value, twice.
const REPEATED: Refusal = Refusal::Malformed("a field that may appear once appears twice");

/// Runs all checks. Returns the host and port that the request names; none where HTTP/1.0 allows
/// that. `preflight` allows OPTIONS.
pub(super) fn check<B: Body>(
    request: &Request<B>,
    limits: &Limits,
    preflight: bool,
) -> Result<Option<Authority>, Refusal> {
    method(request.method(), preflight)?;
    field_values(request.headers())?;
    head_size(request, limits)?;
    transfer_encoding(request)?;
    content_length(request.headers())?;
    singletons(request.headers())?;
    bodiless(request)?;
    request_target(request)?;
    path(request.uri().path())?;
    query(request.uri().query().unwrap_or_default())?;
    let authority = authority(request)?;
    expect(request.headers())?;
    Ok(authority)
}

/// Whether there is something to read after the head.
pub(super) fn has_body<B: Body>(request: &Request<B>) -> bool {
    !request.body().is_end_stream()
}

/// Whether the method only reads, and so has no content.
pub(super) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// The length that the client declared.
pub(super) fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn method(method: &Method, preflight: bool) -> Result<(), Refusal> {
    match *method {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => Ok(()),
        Method::OPTIONS if preflight => Ok(()),
        _ => Err(Refusal::Method),
    }
}

/// RFC 9110 section 5.5: no control characters, no white space around a value.
fn field_values(headers: &HeaderMap) -> Result<(), Refusal> {
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    let space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    // Without an early end, the loop takes many bytes at once.
    let controls = |value: &[u8]| value.iter().fold(false, |found, byte| found | control(byte));
    let bad = |value: &[u8]| controls(value) || space(value.first()) || space(value.last());
    ensure(
        !headers.values().any(|value| bad(value.as_bytes())),
        Refusal::Malformed("a header value holds a control character or stray white space"),
    )
}

/// hyper counts the same for HTTP/1.1. HTTP/2 itself does not limit the number of fields.
fn head_size<B>(request: &Request<B>, limits: &Limits) -> Result<(), Refusal> {
    let headers = request.headers();
    let size = |name: &HeaderName, value: &HeaderValue| name.as_str().len() + value.len() + 4;
    let fields = headers.iter().map(|(name, value)| size(name, value));
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let bytes = fields.sum::<usize>() + target;
    if bytes <= limits.header_bytes && headers.len() <= limits.headers {
        return Ok(());
    }
    // HTTP/2 may split a cookie into any number of fields.
    let crumbs = headers.get_all(header::COOKIE).iter().count().saturating_sub(1);
    let is_few = headers.len() - crumbs <= limits.headers;
    if bytes <= limits.header_bytes {
        return ensure(is_few, Refusal::HeadTooLarge);
    }
    let ranges = headers.get_all(header::RANGE).iter().map(|value| size(&header::RANGE, value));
    let is_small = is_few && bytes - ranges.sum::<usize>() <= limits.header_bytes;
    Err(if is_small { Refusal::TooManyRanges } else { Refusal::HeadTooLarge })
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

/// RFC 9112 section 6.3. hyper has read the number, and h2 compares it with the data.
fn content_length(headers: &HeaderMap) -> Result<(), Refusal> {
    let Some(value) = single(headers, header::CONTENT_LENGTH)? else {
        return Ok(());
    };
    let number = value.as_bytes();
    let digits = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    ensure(
        digits && !headers.contains_key(header::TRANSFER_ENCODING),
        Refusal::Malformed("Content-Length is not one plain number"),
    )
}

/// Fields of a single value: given two, one reader takes the first and another the last.
fn singletons(headers: &HeaderMap) -> Result<(), Refusal> {
    const NAMES: [HeaderName; 5] = [
        header::CONTENT_TYPE,
        header::CONTENT_RANGE,
        header::CONTENT_ENCODING,
        header::RANGE,
        header::USER_AGENT,
    ];
    let is_repeated = |name| single(headers, name).is_err();
    let repeats = headers.len() > headers.keys_len() && NAMES.into_iter().any(is_repeated);
    ensure(!repeats, REPEATED)
}

/// RFC 9110 section 9.3.1: content in a GET or HEAD has no meaning, and at worst hides a second
/// request. HTTP/2 shows only in its frames whether there is any: `early_body::settle` reads them.
fn bodiless<B: Body>(request: &Request<B>) -> Result<(), Refusal> {
    let has_content = request.version() != Version::HTTP_2 && has_body(request);
    let has_none = is_read(request.method()) || request.method() == Method::OPTIONS;
    ensure(!(has_content && has_none), NO_BODY)
}

/// RFC 9112 section 3.2: origin-form, or absolute-form for the scheme of this connection.
fn request_target<B>(request: &Request<B>) -> Result<(), Refusal> {
    let uri = request.uri();
    let scheme = match uri.scheme() {
        Some(scheme) => scheme.as_str().eq_ignore_ascii_case("https"),
        None => uri.authority().is_none(),
    };
    ensure(
        scheme && uri.path().starts_with('/'),
        Refusal::Malformed("the request target is not a path of this server"),
    )
}

/// Refuses a path that another reader may understand differently: dot segments, empty segments,
/// backslashes, escaped separators and control characters, bad escapes, characters outside RFC
/// 3986.
fn path(path: &str) -> Result<(), Refusal> {
    if is_plain(path) { Ok(()) } else { segments(path) }
}

fn segments(path: &str) -> Result<(), Refusal> {
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

/// Whether a path has nothing but unreserved characters and colons, and no segment that is empty or
/// begins with a dot. Nearly all are like that, and are looked at in one pass.
fn is_plain(path: &str) -> bool {
    let (mut before, mut is_plain) = (b' ', true);
    for &byte in path.as_bytes() {
        let is_usual = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b':' | b'~');
        is_plain &= is_usual || (matches!(byte, b'/' | b'.') && before != b'/');
        before = byte;
    }
    is_plain
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
    ensure(escapes(query.as_bytes(), b":@/?", |_| false), Refusal::Path)
}

/// RFC 9110 section 7.2: exactly one host, and every place that names it names the same. HTTP/1.0
/// has no host (RFC 9112 section 3.2), and the health checks of balancers use it.
fn authority<B>(request: &Request<B>) -> Result<Option<Authority>, Refusal> {
    const BAD: Refusal = Refusal::Malformed("the host is not a name or address with an optional port");
    let host = single(request.headers(), header::HOST)?;
    let read = |field| Authority::read(field).map(Some).ok_or(BAD);
    match (request.uri().authority(), host) {
        (None, Some(host)) => read(host),
        (Some(named), Some(host)) => {
            let named = HostPort::parse(named.as_str()).map_err(|_| BAD)?;
            let host = Authority::read(host).ok_or(BAD)?;
            let is_same = named.or_port(443) == host.host_port().or_port(443);
            ensure(is_same, Refusal::Malformed("the request names two hosts"))?;
            Ok(Some(host))
        }
        (Some(named), None) if request.version() != Version::HTTP_11 => {
            read(&HeaderValue::try_from(named.as_str()).map_err(|_| BAD)?)
        }
        (None, None) if request.version() == Version::HTTP_10 => Ok(None),
        (_, None) => Err(Refusal::Malformed("the request names no host")),
    }
}

/// RFC 9110 section 10.1.1. hyper sends the 100 when the body is first read, which is after the
/// decision.
fn expect(headers: &HeaderMap) -> Result<(), Refusal> {
    match single(headers, header::EXPECT) {
        Ok(None) => Ok(()),
        Ok(Some(value)) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(()),
        Ok(Some(_)) | Err(_) => Err(Refusal::Expectation),
    }
}

fn ensure(fits: bool, refusal: Refusal) -> Result<(), Refusal> {
    if fits { Ok(()) } else { Err(refusal) }
}

/// The only line of a field, if there is one.
fn single(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, Refusal> {
    let line = headers.get(&name);
    let repeats = headers.len() > headers.keys_len() && headers.get_all(&name).iter().nth(1).is_some();
    if repeats { Err(REPEATED) } else { Ok(line) }
}

/// Whether `text` holds only unreserved characters, sub-delims, `more`, and escapes of two hex
/// digits that do not stand for a `forbidden` byte.
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
    use proptest::prelude::*;

    use super::*;

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

    proptest! {
        #[test]
        fn what_is_plain_needs_no_closer_look(path in "(/|/[a-z]|[.]|%2e|[ -~]){0,12}") {
            prop_assert!(!is_plain(&path) || segments(&path).is_ok());
        }
    }

    #[test]
    fn queries() {
        assert!(query("digest=sha256%3Aaaa&_state=a_-%3D%3D&x=/../").is_ok());
        assert!(query("a=%").is_err());
        assert!(query("a=b c").is_err());
    }
}
