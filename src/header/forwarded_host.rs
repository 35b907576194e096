//! The host that a client asked a trusted proxy for: `X-Forwarded-Host`, `Forwarded` (RFC 7239).

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use thiserror::Error;

use super::authority::Authority;

static X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
static X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// What a trusted proxy sent does not name one host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("X-Forwarded-Host, X-Forwarded-Port or Forwarded of the proxy does not name a host and port")]
pub(crate) struct BadForwardedHost;

/// The host and port that the client asked for, in the words of the trusted proxies.
///
/// `proxies` is the number of trusted proxies between the client and tidegate. Each proxy appends
/// the host that it was asked for, so the entry of the farthest one stands that many places from
/// the right. Most proxies send a single entry. What stands further to the left comes from the
/// client and is ignored, and so is everything if `proxies` is 0.
///
/// `Forwarded` is read where there is no `X-Forwarded-Host`. `X-Forwarded-Port` is read where
/// `X-Forwarded-Host` has no port; `https` says whose default port is left out.
///
/// # Errors
/// The entry is not `host` or `host:port`.
pub(crate) fn read(
    headers: &HeaderMap,
    proxies: usize,
    https: bool,
) -> Result<Option<Authority>, BadForwardedHost> {
    if proxies == 0 {
        return Ok(None);
    }
    let authority = |text: &[u8]| {
        let field = HeaderValue::from_bytes(text).map_err(|_| BadForwardedHost)?;
        Authority::read(&field).ok_or(BadForwardedHost)
    };
    let Some(host) = vouched(headers, &X_FORWARDED_HOST, proxies) else {
        return rfc7239(headers, proxies)?.map(|host| authority(&host)).transpose();
    };
    let read = authority(host)?;
    match vouched(headers, &X_FORWARDED_PORT, proxies) {
        Some(port) if read.host_port().port.is_none() => match number(port).ok_or(BadForwardedHost)? {
            443 if https => Ok(Some(read)),
            80 if !https => Ok(Some(read)),
            port => authority(format!("{}:{port}", read.host()).as_bytes()).map(Some),
        },
        _ => Ok(Some(read)),
    }
}

/// The entry of the farthest trusted proxy, in a list whose lines are one list.
fn vouched<'a>(headers: &'a HeaderMap, name: &HeaderName, proxies: usize) -> Option<&'a [u8]> {
    let lines = headers.get_all(name).iter().rev();
    let entries = lines.flat_map(|line| line.as_bytes().rsplit(|&byte| byte == b','));
    entries.map(<[u8]>::trim_ascii).filter(|entry| !entry.is_empty()).take(proxies).last()
}

/// A port from 1 on.
fn number(port: &[u8]) -> Option<u16> {
    let digits = str::from_utf8(port).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok().filter(|&port| port != 0)
}

/// The `host` of the farthest trusted proxy that names one in `Forwarded`.
fn rfc7239(headers: &HeaderMap, proxies: usize) -> Result<Option<Vec<u8>>, BadForwardedHost> {
    let mut elements = Vec::new();
    for line in headers.get_all(FORWARDED) {
        for element in split(line.as_bytes(), b',')? {
            elements.push(host(element)?);
        }
    }
    let nearest = elements.len().saturating_sub(proxies);
    Ok(elements.into_iter().skip(nearest).flatten().next())
}

/// The `host` of one element: `for=192.0.2.43;host="registry.example.com:5000"`.
fn host(element: &[u8]) -> Result<Option<Vec<u8>>, BadForwardedHost> {
    let mut found = None;
    for pair in split(element, b';')? {
        let equals = pair.iter().position(|&byte| byte == b'=').ok_or(BadForwardedHost)?;
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        if name.eq_ignore_ascii_case(b"host") && found.replace(unquoted(value)).is_some() {
            return Err(BadForwardedHost);
        }
    }
    Ok(found)
}

/// Splits at `separator` outside of quoted strings, without empty parts.
fn split(text: &[u8], separator: u8) -> Result<Vec<&[u8]>, BadForwardedHost> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (index, &byte) in text.iter().enumerate() {
        if escaped {
            escaped = false;
        } else if quoted && byte == b'\\' {
            escaped = true;
        } else if byte == b'"' {
            quoted = !quoted;
        } else if byte == separator && !quoted {
            parts.push(text[start..index].trim_ascii());
            start = index + 1;
        }
    }
    if quoted {
        return Err(BadForwardedHost);
    }
    parts.push(text[start..].trim_ascii());
    parts.retain(|part| !part.is_empty());
    Ok(parts)
}

/// The content of a quoted string (RFC 9110 section 5.6.4), or the token itself.
fn unquoted(value: &[u8]) -> Vec<u8> {
    let Some(inner) = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")) else {
        return value.to_vec();
    };
    let mut bytes = inner.iter();
    let mut plain = Vec::new();
    while let Some(&byte) = bytes.next() {
        plain.extend(if byte == b'\\' { bytes.next().copied() } else { Some(byte) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(fields: &[(&str, &str)], proxies: usize) -> Result<Option<String>, BadForwardedHost> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse().unwrap());
        }
        read(&headers, proxies, true).map(|host| host.map(|host| host.as_str().to_owned()))
    }

    const HOST: &str = "X-Forwarded-Host";
    const PORT: &str = "X-Forwarded-Port";

    #[test]
    fn the_entry_of_the_farthest_trusted_proxy_counts() {
        for (lines, proxies, expected) in [
            (&["outer.test"][..], 1, "outer.test"),
            (&["outer.test:5000"], 1, "outer.test:5000"),
            (&["[2001:db8::1]:5000"], 1, "[2001:db8::1]:5000"),
            (&["forged.test, outer.test"], 1, "outer.test"),
            (&["forged.test", "outer.test"], 1, "outer.test"),
            (&["forged.test, outer.test, middle.test"], 2, "outer.test"),
            (&["outer.test"], 3, "outer.test"),
            (&["not/a/host, outer.test"], 1, "outer.test"),
            (&["outer.test, ,"], 1, "outer.test"),
        ] {
            let fields: Vec<_> = lines.iter().map(|line| (HOST, *line)).collect();
            assert_eq!(asked(&fields, proxies), Ok(Some(expected.to_owned())), "{lines:?}");
            assert_eq!(asked(&fields, 0), Ok(None), "from a stranger");
        }
        assert_eq!(asked(&[], 1), Ok(None));
        assert_eq!(asked(&[(HOST, "")], 1), Ok(None));
    }

    #[test]
    fn what_is_not_a_host_is_an_error() {
        for bad in ["outer.test, a/b", "https://outer.test", "a b", "u@a", "a:b", "a:99999", "[::1", "\"a\""]
        {
            assert_eq!(asked(&[(HOST, bad)], 1), Err(BadForwardedHost), "{bad}");
        }
        for bad in ["for=a;host=\"outer", "host", "host=a;host=b", "host=a/b", "host=\"a, b\""] {
            assert_eq!(asked(&[("Forwarded", bad)], 1), Err(BadForwardedHost), "{bad}");
        }
        for bad in ["x", "0", "65536", "-1"] {
            assert_eq!(asked(&[(HOST, "outer.test"), (PORT, bad)], 1), Err(BadForwardedHost), "{bad}");
        }
    }

    #[test]
    fn forwarded_is_read_where_there_is_no_x_forwarded_host() {
        for (line, proxies, expected) in [
            ("for=192.0.2.1;host=outer.test;proto=https", 1, Some("outer.test")),
            ("For=\"[2001:db8::1]:99\"; Host=\"outer.test:5000\"", 1, Some("outer.test:5000")),
            ("host=forged.test, for=\"a,b\";host=outer.test", 1, Some("outer.test")),
            ("host=forged.test, for=10.0.0.1", 1, None),
            ("host=outer.test, for=10.0.0.1", 2, Some("outer.test")),
            ("host=\"out\\er.test\"", 1, Some("outer.test")),
        ] {
            assert_eq!(asked(&[("Forwarded", line)], proxies), Ok(expected.map(str::to_owned)), "{line}");
        }
        let both = [(HOST, "outer.test"), ("Forwarded", "host=other.test")];
        assert_eq!(asked(&both, 1), Ok(Some("outer.test".to_owned())));
    }

    #[test]
    fn a_port_beside_the_host_counts_where_the_host_has_none() {
        for (host, port, expected) in [
            ("outer.test", "443", "outer.test"),
            ("outer.test", "8443", "outer.test:8443"),
            ("outer.test:5000", "8443", "outer.test:5000"),
            ("[::1]", "8443", "[::1]:8443"),
            ("outer.test", "80", "outer.test:80"),
        ] {
            assert_eq!(
                asked(&[(HOST, host), (PORT, port)], 1),
                Ok(Some(expected.to_owned())),
                "{host} {port}"
            );
        }
        assert_eq!(asked(&[(PORT, "8443")], 1), Ok(None), "the Host field has its own port");
    }

    proptest! {
        #[test]
        fn any_field_is_read_without_panic(bytes: Vec<u8>, proxies in 0..4_usize) {
            for name in [X_FORWARDED_HOST.clone(), FORWARDED] {
                if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                    let _ = read(&HeaderMap::from_iter([(name, value)]), proxies, true);
                }
            }
        }
    }
}
