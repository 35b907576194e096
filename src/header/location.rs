//! Rewrites `Location` in the registry's answers to the host that the client asked for.

use http::{HeaderValue, StatusCode};

use super::authority::{Authority, HostPort};

/// The `Location` that the client gets; `None` leaves the registry's untouched.
///
/// `https` and `client` are how the client reached tidegate, `upstream` is where tidegate reaches
/// the registry. With a 2xx status the registry refers to itself, under the name and path prefix
/// that it believes to have. The path from `/v2/` on is then put behind `client`. With any other
/// status a reference points to the registry only if it names no host, or `upstream`, or `client`;
/// any other host is object storage. A reference that is relative to the path of the request is
/// left alone.
pub(crate) fn rewrite(
    location: &HeaderValue,
    status: StatusCode,
    https: bool,
    client: &Authority,
    upstream: HostPort<'_>,
) -> Option<HeaderValue> {
    let reference = Reference::parse(location.as_bytes())?;
    let scheme = if https { Scheme::Https } else { Scheme::Http };
    if status.is_success()
        && let Some(path) = from_api_base(reference.path)
    {
        return absolute(scheme, client.as_str().as_bytes(), path);
    }
    match reference.authority {
        None => absolute(scheme, client.as_str().as_bytes(), reference.path),
        Some(_)
            if reference.names(client.host_port(), scheme)
                || reference.names(upstream, reference.scheme.unwrap_or(scheme)) =>
        {
            absolute(scheme, client.as_str().as_bytes(), reference.path)
        }
        // Another host, `//host/path`: the scheme is the client's.
        Some(host) if reference.scheme.is_none() && !host.is_empty() => {
            absolute(scheme, host, reference.path)
        }
        Some(_) => None,
    }
}

#[derive(Clone, Copy)]
enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A URI reference, as far as it matters here: RFC 3986 section 4.1.
struct Reference<'a> {
    scheme: Option<Scheme>,
    /// With user information, where there is any.
    authority: Option<&'a [u8]>,
    /// Path, query and fragment; empty, or beginning with `/`, `?` or `#`.
    path: &'a [u8],
}

impl<'a> Reference<'a> {
    /// `None` for a scheme other than http and https, and for a reference relative to the request's
    /// own path.
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

    /// Whether this names `place`, as written or with the default ports filled in: `place` has that
    /// of `scheme`. User information is ignored.
    fn names(&self, place: HostPort<'_>, scheme: Scheme) -> bool {
        let Some(own) = self.host_port() else { return false };
        let default = self.scheme.unwrap_or(scheme).port();
        own == place || own.or_port(default) == place.or_port(scheme.port())
    }

    fn host_port(&self) -> Option<HostPort<'a>> {
        let host = self.authority?.rsplit(|&byte| byte == b'@').next()?;
        HostPort::parse(str::from_utf8(host).ok()?).ok()
    }
}

fn scheme(location: &[u8]) -> Option<(Scheme, &[u8])> {
    [Scheme::Http, Scheme::Https].into_iter().find_map(|scheme| {
        let (start, rest) = location.split_at_checked(scheme.as_str().len())?;
        let is = start.eq_ignore_ascii_case(scheme.as_str().as_bytes());
        Some((scheme, rest.strip_prefix(b":")?)).filter(|_| is)
    })
}

/// The part of a path, query and fragment that starts at the first `/v2/` of the path.
fn from_api_base(path: &[u8]) -> Option<&[u8]> {
    let end = path.iter().position(|byte| matches!(byte, b'?' | b'#')).unwrap_or(path.len());
    let start = path[..end].windows(b"/v2/".len()).position(|window| window == b"/v2/")?;
    Some(&path[start..])
}

fn absolute(scheme: Scheme, authority: &[u8], path: &[u8]) -> Option<HeaderValue> {
    HeaderValue::from_bytes(&[scheme.as_str().as_bytes(), b"://", authority, path].concat()).ok()
}

#[cfg(test)]
mod tests;
