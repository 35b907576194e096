//! `Location` in answers of the registry, made to point where the client came in.

use http::{HeaderValue, StatusCode};

/// The `Location` that the client gets; `None` leaves the registry's untouched.
///
/// With a 2xx status the registry speaks of itself, under whatever name and path prefix it believes to have:
/// the path from `/v2/` on is put behind `client_host`. With any other status only a relative reference, or
/// one to `upstream_authority` or `client_host`, is the registry's own; another host is object storage.
///
/// `https` and `client_host` (with the port where it is not the default one) are what the client used,
/// `upstream_authority` is where tidegate reaches the registry. A reference that is relative to the path of
/// the request is left alone.
pub(crate) fn rewrite(
    location: &HeaderValue,
    status: StatusCode,
    https: bool,
    client_host: &str,
    upstream_authority: &str,
) -> Option<HeaderValue> {
    let reference = Reference::parse(location.as_bytes())?;
    let scheme = if https { "https" } else { "http" };
    if status.is_success()
        && let Some(path) = from_api_base(reference.path)
    {
        return absolute(scheme, client_host.as_bytes(), path);
    }
    match reference.authority {
        None => absolute(scheme, client_host.as_bytes(), reference.path),
        Some(host)
            if same_authority(host, reference.scheme, client_host, scheme)
                || same_authority(
                    host,
                    reference.scheme,
                    upstream_authority,
                    reference.scheme.unwrap_or(scheme),
                ) =>
        {
            absolute(scheme, client_host.as_bytes(), reference.path)
        }
        // Another host, `//host/path`: the scheme is the client's.
        Some(host) if reference.scheme.is_none() && !host.is_empty() => {
            absolute(scheme, host, reference.path)
        }
        Some(_) => None,
    }
}

/// A URI reference as far as it matters here: RFC 3986, 4.1.
struct Reference<'a> {
    scheme: Option<&'static str>,
    /// With user information, where there is one.
    authority: Option<&'a [u8]>,
    /// Path, query and fragment; empty, or beginning with `/`, `?` or `#`.
    path: &'a [u8],
}

impl<'a> Reference<'a> {
    /// `None` for a scheme other than http and https and for what is relative to the request's own path.
    fn parse(location: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = match scheme(location) {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, location),
        };
        if let Some(rest) = rest.strip_prefix(b"//") {
            let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            return Some(Self { scheme, authority: Some(authority), path });
        }
        (scheme.is_none() && rest.starts_with(b"/")).then_some(Self {
            scheme: None,
            authority: None,
            path: rest,
        })
    }
}

fn scheme(location: &[u8]) -> Option<(&'static str, &[u8])> {
    ["http", "https"].into_iter().find_map(|scheme| {
        let (start, rest) = location.split_at_checked(scheme.len())?;
        Some((scheme, rest.strip_prefix(b":")?)).filter(|_| start.eq_ignore_ascii_case(scheme.as_bytes()))
    })
}

/// The part of a path, query and fragment that starts at the first `/v2/` of the path.
fn from_api_base(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    let start = path[..end].windows(b"/v2/".len()).position(|window| window == b"/v2/")?;
    Some(&path[start..])
}

/// Whether two authorities mean the same host and port: as written, or with the default ports of their
/// schemes filled in. User information is not looked at.
fn same_authority(host: &[u8], scheme: Option<&str>, other: &str, other_scheme: &str) -> bool {
    let host = host.rsplit(|&byte| byte == b'@').next().unwrap_or(host);
    let other = other.as_bytes();
    host.eq_ignore_ascii_case(other) || {
        let (name, port) = split_port(host, scheme.unwrap_or(other_scheme));
        let (other_name, other_port) = split_port(other, other_scheme);
        name.eq_ignore_ascii_case(other_name) && port == other_port
    }
}

fn split_port<'a>(authority: &'a [u8], scheme: &str) -> (&'a [u8], &'a [u8]) {
    let default: &[u8] = if scheme == "https" { b"443" } else { b"80" };
    // The colons inside the brackets of an IPv6 address separate no port.
    match authority.iter().rposition(|&byte| byte == b':') {
        Some(colon) if !authority[colon..].contains(&b']') => match &authority[colon + 1..] {
            [] => (&authority[..colon], default),
            port => (&authority[..colon], port),
        },
        _ => (authority, default),
    }
}

fn absolute(scheme: &str, authority: &[u8], path: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&[scheme.as_bytes(), b"://", authority, path].concat()).ok()
}

#[cfg(test)]
mod tests;
