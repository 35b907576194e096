//! The first bytes of a connection from a load balancer: a header of the PROXY protocol, version 1
//! or 2, and what follows it.
//!
//! In whatever pieces the bytes arrive, the result is the same. What follows a header is not read.

use crate::server::proxy_header::{Parsed, parse};

/// The longest header of version 1.
const LONGEST_TEXT: usize = 107;
/// The longest header of version 2 that is accepted.
const LONGEST_BINARY: usize = 16 + 4096;

/// Checks one input.
pub(super) fn proxy_headers(bytes: &[u8]) {
    let whole = parse(bytes);
    // The first result that is final is the result of everything longer.
    let first = (0..=bytes.len()).map(|length| (length, parse(bytes.get(..length).unwrap_or_default())));
    let first = first.into_iter().find(|(_, parsed)| *parsed != Parsed::Incomplete);
    match (first, whole) {
        (None, whole) => {
            assert_eq!(whole, Parsed::Incomplete);
            let longest = if bytes.first() == Some(&b'P') { LONGEST_TEXT } else { LONGEST_BINARY };
            assert!(bytes.len() < longest, "{} bytes", bytes.len());
        }
        (Some((_, Parsed::Rejected(_))), whole) => {
            assert!(matches!(whole, Parsed::Rejected(_)), "{whole:?}");
        }
        (Some((arrived, first)), whole) => {
            assert_eq!(first, whole);
            let Parsed::Header { length, client } = whole else { return };
            let is_text = bytes.starts_with(b"PROXY ");
            assert!(length <= arrived && length <= if is_text { LONGEST_TEXT } else { LONGEST_BINARY });
            assert_eq!(length, arrived, "it was known as soon as it was there");
            if is_text {
                assert!(bytes.get(..length).is_some_and(|header| header.ends_with(b"\r\n")));
                let named = client.map(|client| client.to_string());
                let text = String::from_utf8_lossy(bytes.get(..length).unwrap_or_default());
                let source =
                    text.split(' ').nth(2).and_then(|source| source.parse::<std::net::IpAddr>().ok());
                assert_eq!(named, named.as_ref().and(source).map(|source| source.to_canonical().to_string()));
            }
            let other = [bytes.get(..length).unwrap_or_default(), b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(parse(&other), whole);
        }
    }
}
