//! Hop-by-hop fields, which belong to one connection: RFC 9110 section 7.6.1.

use http::header::{CONNECTION, HeaderMap, HeaderName};

/// Removes the hop-by-hop fields of a request or an answer: those named in any `Connection` line,
/// and `Connection`, `Keep-Alive`, `Proxy-*`, `TE`, `Trailer`, `Transfer-Encoding`, `Upgrade` and
/// `HTTP2-Settings`.
///
/// Fields that a message needs, such as `Host`, `Authorization` or `Content-Length`, stay even if
/// they are named: a client must not be able to remove what another party relies on.
pub fn strip(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        for name in listed(headers) {
            headers.remove(name);
        }
        headers.remove(CONNECTION);
    }
    // Collecting nothing allocates nothing.
    let hops: Vec<HeaderName> = headers.keys().filter(|name| is_hop_by_hop(name.as_str())).cloned().collect();
    for name in hops {
        headers.remove(name);
    }
}

/// The names in all `Connection` lines that may be removed. Tokens that are not field names are
/// skipped.
fn listed(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        // The two usual tokens are not fields to remove.
        .filter(|token| !token.eq_ignore_ascii_case(b"close") && !token.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        .filter(|name| !is_end_to_end(name.as_str()))
        .collect()
}

fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" | "http2-settings"
    ) || name.starts_with("proxy-")
}

fn is_end_to_end(name: &str) -> bool {
    matches!(
        name,
        "host"
            | "authorization"
            | "www-authenticate"
            | "content-length"
            | "content-type"
            | "content-encoding"
            | "content-range"
            | "range"
            | "cookie"
            | "set-cookie"
            | "etag"
            | "link"
            | "location"
    ) || name.starts_with("docker-")
        || name.starts_with("oci-")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn headers(fields: &[(&str, &[u8])]) -> HeaderMap {
        let field = |(name, value): &(&str, &[u8])| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap())
        };
        fields.iter().map(field).collect()
    }

    /// The names that are left, sorted: removing one moves others.
    fn left(fields: &[(&str, &[u8])]) -> Vec<String> {
        let mut headers = headers(fields);
        strip(&mut headers);
        let mut names: Vec<_> = headers.keys().map(ToString::to_string).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn fields_of_one_connection() {
        let fields: Vec<(&str, &[u8])> = [
            "connection",
            "keep-alive",
            "proxy-authenticate",
            "proxy-authorization",
            "proxy-connection",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "accept",
        ]
        .map(|name| (name, b"x".as_slice()))
        .to_vec();
        assert_eq!(left(&fields), ["accept"]);
    }

    #[test]
    fn names_in_every_connection_line() {
        let fields: [(&str, &[u8]); 6] = [
            ("Connection", b"close, X-One"),
            ("Connection", b" ,\tx-TWO ,,"),
            ("X-One", b"1"),
            ("X-Two", b"2"),
            ("X-Two", b"again"),
            ("X-Three", b"3"),
        ];
        assert_eq!(left(&fields), ["x-three"]);
    }

    #[test]
    fn only_whole_tokens_count() {
        let fields: [(&str, &[u8]); 4] =
            [("Connection", b"X-A X-B, X-AB; q=1, \"X-A\""), ("X-A", b"1"), ("X-B", b"1"), ("X-AB", b"1")];
        assert_eq!(left(&fields), ["x-a", "x-ab", "x-b"]);
    }

    #[test]
    fn a_line_that_is_not_utf8_still_counts() {
        assert_eq!(left(&[("Connection", b"\xff, X-A, \xe4"), ("X-A", b"1"), ("X-B", b"1")]), ["x-b"]);
    }

    #[test]
    fn what_a_message_needs_is_never_taken() {
        let mut names = [
            "host",
            "authorization",
            "content-length",
            "content-type",
            "cookie",
            "location",
            "docker-upload-uuid",
            "docker-distribution-api-version",
            "www-authenticate",
            "link",
            "range",
            "content-range",
            "etag",
        ];
        names.sort_unstable();
        let listed = format!("close, Transfer-Encoding, {}", names.join(", "));
        let mut fields: Vec<(&str, &[u8])> = names.map(|name| (name, b"x".as_slice())).to_vec();
        fields.push(("Connection", listed.as_bytes()));
        fields.push(("Transfer-Encoding", b"chunked"));
        assert_eq!(left(&fields), names);
    }

    proptest! {
        #[test]
        fn any_connection_line(lines in prop::collection::vec(prop::collection::vec(32u8.., 0..40), 0..4)) {
            let mut headers = headers(&[("Host", b"h"), ("X-A", b"1"), ("Upgrade", b"h2c")]);
            for line in &lines {
                if let Ok(line) = HeaderValue::from_bytes(line) {
                    headers.append(CONNECTION, line);
                }
            }
            strip(&mut headers);
            prop_assert!(headers.contains_key("host"));
            prop_assert!(!headers.contains_key("connection") && !headers.contains_key("upgrade"));
        }

        #[test]
        fn a_listed_name_goes(name in "[a-zA-Z][a-zA-Z0-9-]{0,12}", around in "[ ,\t]{0,3}") {
            let line = format!("{around}close,{name},{around}");
            let mut headers = headers(&[("Connection", line.as_bytes()), (&name, b"1"), ("Host", b"h")]);
            let name = name.to_ascii_lowercase();
            strip(&mut headers);
            prop_assert!(is_end_to_end(&name) || name == "close" || !headers.contains_key(&name));
        }
    }
}
