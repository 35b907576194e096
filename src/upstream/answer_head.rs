//! The head of the registry's answer (RFC 9112, sections 4 to 6).

use std::mem::MaybeUninit;
use std::str;

use bytes::{Buf, Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version};
use httparse::Status;
use hyper::ext::ReasonPhrase;

/// Most fields of an answer.
pub(super) const FIELDS: usize = 100;
/// Most bytes of a head. It is read again from its beginning whenever more of it arrives.
pub(super) const LONGEST: usize = 64 * 1024;

/// A head, and what it says about the bytes that follow it.
#[derive(Debug)]
pub(super) struct AnswerHead {
    pub(super) response: Response<()>,
    pub(super) framing: Framing,
    /// Whether the connection stays open after the answer, as far as the registry says.
    pub(super) stays_open: bool,
}

/// How long the body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// Bytes.
    Length(u64),
    Chunked,
    /// Up to the end of the connection.
    ToTheEnd,
}

/// Why an answer is not valid HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotHttp {
    #[error("{0} in the head")]
    Head(httparse::Error),
    #[error("a head of more than 64 KiB")]
    LongHead,
    #[error("it switched protocols unasked")]
    Switched,
    #[error("an invalid Content-Length")]
    Length,
    #[error("a Transfer-Encoding other than chunked")]
    Encoding,
    #[error("both Content-Length and Transfer-Encoding")]
    TwoFramings,
    #[error("an invalid chunk")]
    Chunk,
}

/// Takes the head of the answer to a request with this method from the beginning of `bytes`;
/// `None` if it is incomplete. What is only informational before it is skipped.
///
/// # Errors
/// It is no answer, or its protocol or its end is in doubt. The connection must not be used any
/// more.
pub(super) fn take(bytes: &mut BytesMut, method: &Method) -> Result<Option<AnswerHead>, NotHttp> {
    while !bytes.is_empty() {
        let Some(head) = take_any(bytes, method)? else { return Ok(None) };
        match head.response.status() {
            StatusCode::SWITCHING_PROTOCOLS => return Err(NotHttp::Switched),
            status if status.is_informational() => {}
            _ => return Ok(Some(head)),
        }
    }
    Ok(None)
}

fn take_any(bytes: &mut BytesMut, method: &Method) -> Result<Option<AnswerHead>, NotHttp> {
    let mut fields = [const { MaybeUninit::uninit() }; FIELDS];
    let mut answer = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default()
        .parse_response_with_uninit_headers(&mut answer, bytes, &mut fields)
        .map_err(NotHttp::Head)?;
    let Status::Complete(length) = parsed else {
        return if bytes.len() < LONGEST { Ok(None) } else { Err(NotHttp::LongHead) };
    };
    if length > LONGEST {
        return Err(NotHttp::LongHead);
    }
    let (Some(code), Some(version)) = (answer.code, answer.version) else { return Ok(None) };
    let status = StatusCode::from_u16(code).map_err(|_| NotHttp::Head(httparse::Error::Status))?;
    let reason = answer.reason.filter(|reason| Some(*reason) != status.canonical_reason());
    let reason = reason.and_then(|reason| ReasonPhrase::try_from(reason.as_bytes().to_vec()).ok());
    // A copy: the values are parts of it, and must not keep the memory of all that has arrived.
    let head = Bytes::copy_from_slice(&bytes[..length]);
    let mut headers = HeaderMap::with_capacity(answer.headers.len());
    for field in answer.headers {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| NotHttp::Head(httparse::Error::HeaderName))?;
        let start = field.value.as_ptr().addr() - bytes.as_ptr().addr();
        let value = HeaderValue::from_maybe_shared(head.slice(start..start + field.value.len()))
            .map_err(|_| NotHttp::Head(httparse::Error::HeaderValue))?;
        headers.append(name, value);
    }
    bytes.advance(length);
    let is_new = version == 1;
    let framing = framing(status, method, is_new, &mut headers)?;
    let stays_open = stays_open(is_new, &headers) && framing != Framing::ToTheEnd;
    let mut response = Response::new(());
    *response.status_mut() = status;
    *response.version_mut() = if is_new { Version::HTTP_11 } else { Version::HTTP_10 };
    *response.headers_mut() = headers;
    if let Some(reason) = reason {
        response.extensions_mut().insert(reason);
    }
    Ok(Some(AnswerHead { response, framing, stays_open }))
}

/// RFC 9112 section 6.3. What two readers may understand in different ways is refused, also where
/// no body follows; a length that is repeated is left once.
fn framing(
    status: StatusCode,
    method: &Method,
    is_new: bool,
    headers: &mut HeaderMap,
) -> Result<Framing, NotHttp> {
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    let is_chunked = match (encodings.next(), encodings.next()) {
        (None, _) => false,
        (Some(only), None) if is_new && only.as_bytes().eq_ignore_ascii_case(b"chunked") => true,
        _ => return Err(NotHttp::Encoding),
    };
    let first = headers.get(CONTENT_LENGTH).cloned();
    let length = first.as_ref().map(|field| number(field.as_bytes()).ok_or(NotHttp::Length)).transpose()?;
    if let Some(first) = first
        && headers.get_all(CONTENT_LENGTH).iter().nth(1).is_some()
    {
        if headers.get_all(CONTENT_LENGTH).iter().any(|other| *other != first) {
            return Err(NotHttp::Length);
        }
        headers.insert(CONTENT_LENGTH, first);
    }
    if is_chunked && length.is_some() {
        return Err(NotHttp::TwoFramings);
    }
    let is_bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
        || *method == Method::HEAD;
    Ok(match length {
        _ if is_bodiless => Framing::Length(0),
        Some(length) => Framing::Length(length),
        None if is_chunked => Framing::Chunked,
        None => Framing::ToTheEnd,
    })
}

/// Digits only: a sign is not allowed.
fn number(digits: &[u8]) -> Option<u64> {
    let digits = Some(digits).filter(|digits| digits.iter().all(u8::is_ascii_digit))?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// Whether the registry keeps the connection. `close` in any line counts.
fn stays_open(is_new: bool, headers: &HeaderMap) -> bool {
    let says = |word: &str| {
        headers.get_all(CONNECTION).iter().any(|line| {
            let mut options = line.as_bytes().split(|byte| *byte == b',');
            options.any(|option| option.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
        })
    };
    !says("close") && (is_new || says("keep-alive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(bytes: &str, method: &Method) -> Result<Option<(AnswerHead, String)>, NotHttp> {
        let mut bytes = BytesMut::from(bytes);
        let head = super::take(&mut bytes, method)?;
        Ok(head.map(|head| (head, String::from_utf8(bytes.to_vec()).unwrap())))
    }

    fn of(bytes: &str) -> (Framing, bool) {
        let (head, rest) = take(&format!("{bytes}\r\nbody"), &Method::GET).unwrap().unwrap();
        assert_eq!(rest, "body");
        (head.framing, head.stays_open)
    }

    #[test]
    fn a_head_has_status_version_and_all_fields() {
        let text =
            "HTTP/1.1 404 Not here\r\nA: b\r\nb:\r\nA:  c d \t\r\nX: \u{e4}\r\nContent-Length: 4\r\n\r\nbody";
        let (head, rest) = take(text, &Method::GET).unwrap().unwrap();
        let fields: Vec<_> =
            head.response.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        let expected: [(&str, &[u8]); 5] =
            [("a", b"b"), ("a", b"c d"), ("b", b""), ("x", "\u{e4}".as_bytes()), ("content-length", b"4")];
        assert_eq!(fields, expected);
        assert_eq!((head.response.status().as_u16(), head.response.version()), (404, Version::HTTP_11));
        assert_eq!((head.framing, head.stays_open, rest.as_str()), (Framing::Length(4), true, "body"));
    }

    #[test]
    fn a_length_is_left_once_and_a_reason_only_if_it_is_unusual() {
        let text = "HTTP/1.1 200 Fine\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n";
        let response = take(text, &Method::GET).unwrap().unwrap().0.response;
        assert_eq!(response.headers().get_all(CONTENT_LENGTH).iter().count(), 1);
        assert_eq!(response.extensions().get::<ReasonPhrase>().unwrap().as_bytes(), b"Fine");
        let response = take("HTTP/1.1 200 OK\r\n\r\n", &Method::GET).unwrap().unwrap().0.response;
        assert!(response.extensions().is_empty());
    }

    #[test]
    fn a_head_is_complete_with_its_last_byte() {
        let text = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        for length in 0..text.len() {
            assert!(take(&text[..length], &Method::GET).unwrap().is_none(), "{length}");
        }
        assert_eq!(take(text, &Method::GET).unwrap().unwrap().0.response.status(), StatusCode::OK);
    }

    #[test]
    fn framing_is_that_of_the_rfc() {
        use Framing::{Chunked, Length, ToTheEnd};
        for (head, framing, stays_open) in [
            ("HTTP/1.1 200 OK\r\n", ToTheEnd, false),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n", Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n", Length(5), true),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n", Length(5), false),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: a, Close\r\nConnection: keep-alive\r\n",
                Length(5),
                false,
            ),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n", Length(5), false),
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: Keep-Alive\r\n", Length(5), true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n", Chunked, true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n", Chunked, true),
            ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n", Length(0), true),
            ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n", Length(0), true),
        ] {
            assert_eq!(of(head), (framing, stays_open), "{head}");
        }
        let (head, _) = take("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", &Method::HEAD).unwrap().unwrap();
        assert_eq!(head.framing, Length(0));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for (head, error) in [
            ("SSH-2.0-OpenSSH\r\n", None),
            ("HTTP/2.0 200 OK\r\n", None),
            ("HTTP/1.1 20 OK\r\n", None),
            ("HTTP/1.1 200 OK\r\nA b\r\n", None),
            ("HTTP/1.1 200 OK\r\n folded: b\r\n", None),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n", Some(NotHttp::Length)),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n", Some(NotHttp::Length)),
            ("HTTP/1.1 200 OK\r\nContent-Length:\r\n", Some(NotHttp::Length)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n", Some(NotHttp::Length)),
            ("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n", Some(NotHttp::Length)),
            ("HTTP/1.1 204 No Content\r\nContent-Length: x\r\n", Some(NotHttp::Length)),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n", Some(NotHttp::Encoding)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n", Some(NotHttp::Encoding)),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n", Some(NotHttp::Encoding)),
            ("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: identity\r\n", Some(NotHttp::Encoding)),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
                Some(NotHttp::Encoding),
            ),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
                Some(NotHttp::TwoFramings),
            ),
            ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n", Some(NotHttp::Switched)),
        ] {
            let found = take(&format!("{head}\r\n"), &Method::GET).unwrap_err();
            assert!(error.is_none_or(|error| error == found), "{head}: {found}");
        }
        for length in [LONGEST, 2 * LONGEST] {
            let long = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(length));
            for end in ["", "\r\n\r\n"] {
                let found = take(&format!("{long}{end}"), &Method::GET).unwrap_err();
                assert_eq!(found, NotHttp::LongHead);
            }
        }
        let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(FIELDS + 1));
        assert_eq!(take(&many, &Method::GET).unwrap_err(), NotHttp::Head(httparse::Error::TooManyHeaders));
    }
}
