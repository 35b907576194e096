//! Plain HTTP on a port for TLS. `docker login` tries it when the registry is on loopback.

use std::fmt::Write as _;
use std::io;
use std::time::SystemTime;

use bytes::Bytes;
use http::Response;

use crate::gate;

/// The longest method that is recognised.
const METHOD: usize = 32;

/// Whether a client that has sent `first` so far speaks HTTP without TLS; `None` while it may still
/// do so. The preface of HTTP/2 (RFC 9113, section 3.4) begins like a request too. A TLS record
/// begins with a control character (RFC 8446, section 5.1), a request with a letter.
pub(super) fn is_http(first: &[u8]) -> Option<bool> {
    let first = &first[..first.len().min(METHOD + 1)];
    match first.iter().position(|&byte| !is_token(byte)) {
        Some(end) => Some(end > 0 && first[end] == b' '),
        None => (first.len() > METHOD).then_some(false),
    }
}

/// The answer to a request that begins with `first`, as it is sent.
pub(super) fn answer(first: &[u8]) -> io::Result<Vec<u8>> {
    print(&gate::refuse_plaintext(), !first.starts_with(b"HEAD ")).map_err(io::Error::other)
}

fn print(response: &Response<Bytes>, with_body: bool) -> Result<Vec<u8>, std::fmt::Error> {
    let (status, body) = (response.status(), response.body());
    let mut head = format!("HTTP/1.1 {status}\r\n");
    for (name, value) in response.headers() {
        for word in name.as_str().split_inclusive('-') {
            let (initial, rest) = word.split_at(1);
            head.extend([&initial.to_ascii_uppercase(), rest]);
        }
        write!(head, ": {}\r\n", String::from_utf8_lossy(value.as_bytes()))?;
    }
    let date = httpdate::fmt_http_date(SystemTime::now());
    write!(head, "Content-Length: {}\r\nDate: {date}\r\nConnection: close\r\n\r\n", body.len())?;
    let mut bytes = head.into_bytes();
    if with_body {
        bytes.extend_from_slice(body);
    }
    Ok(bytes)
}

/// The characters of a method (RFC 9110, section 5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_method_and_a_space_are_http() {
        for (first, expected) in [
            (&b"GET /v2/ HTTP/1.1\r\n"[..], Some(true)),
            (b"PROPFIND /", Some(true)),
            (b"get ", Some(true)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Some(true)),
            (b"", None),
            (b"GE", None),
            (b"GET\t/", Some(false)),
            (b" / HTTP/1.1", Some(false)),
            (b"\x16\x03\x01\x02\x00\x01", Some(false)),
            (b"\x80\x2e\x01\x03\x01", Some(false)),
            (&[b'A'; METHOD], None),
            (&[b'A'; METHOD + 1], Some(false)),
        ] {
            assert_eq!(is_http(first), expected, "{}", first.escape_ascii());
        }
    }
}
