//! Rewrites the registry's addresses for itself, in `Location`, `Link`, challenges and any other
//! field, to the host that the client asked for.

use std::ops::Range;

use http::{HeaderValue, StatusCode};

use super::authority::{Authority, HostPort};
use super::challenge;

/// How the registry may name itself in an answer.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// Where tidegate reaches its servers.
    pub servers: &'a [Authority],
    /// The host that it is told, if that is not the client's.
    pub named: Option<HostPort<'a>>,
    /// What its paths begin with, before `/v2/`; empty, or without a `/` at the end.
    pub path: &'a str,
}

/// Puts the registry's addresses for itself right, for one client.
pub(crate) struct Rewriter<'a> {
    /// How the client reached tidegate.
    pub https: bool,
    /// The host that the client asked for.
    pub client: &'a Authority,
    pub registry: Place<'a>,
}

impl Rewriter<'_> {
    /// The `Location` that the client gets; `None` leaves the registry's untouched.
    ///
    /// With a 2xx status the registry refers to itself, under the name and path prefix that it
    /// believes to have. The path from `/v2/` on is then put behind the client's host. With any
    /// other status a reference points to the registry only if it names no host, or that of the
    /// registry or of the client; any other host is object storage. A reference that is relative to
    /// the path of the request is left alone.
    pub(crate) fn location(&self, location: &HeaderValue, status: StatusCode) -> Option<HeaderValue> {
        let reference = Reference::parse(location.as_bytes())?;
        let own = self.registry_path(reference.path);
        if status.is_success()
            && let Some(path) = from_api_base(own)
        {
            return self.absolute(self.client.as_str().as_bytes(), path);
        }
        match reference.authority {
            None => self.absolute(self.client.as_str().as_bytes(), own),
            Some(_) if self.is_own(&reference) => self.absolute(self.client.as_str().as_bytes(), own),
            // Another host, `//host/path`: the scheme is the client's.
            Some(host) if reference.scheme.is_none() && !host.is_empty() => {
                self.absolute(host, reference.path)
            }
            Some(_) => None,
        }
    }

    /// What the client gets for a field that is an address as a whole, such as `Content-Location`;
    /// `None` leaves the registry's untouched. A path that is right for the client too stays as it
    /// is.
    pub(crate) fn address(&self, address: &HeaderValue) -> Option<HeaderValue> {
        self.reference(address.as_bytes(), false)
    }

    /// The same for the targets of a `Link` (RFC 8288 section 3), in the answer to a request for
    /// the path `asked`. Another page of the same list is the registry's own, under whatever name
    /// and path prefix it believes to have.
    pub(crate) fn link(&self, link: &HeaderValue, asked: &str) -> Option<HeaderValue> {
        let field = link.as_bytes();
        substitute(
            field,
            targets(field).filter_map(|at| {
                let target = field.get(at.clone())?;
                let new = self.reference(target, false).or_else(|| self.page(target, asked))?;
                Some((at, new))
            }),
        )
    }

    /// The same for the addresses in a challenge. The realm of a token service may be a path alone.
    /// `service` and `scope` are names, even if they look like addresses.
    pub(crate) fn challenge(&self, challenge: &HeaderValue) -> Option<HeaderValue> {
        let replaced = |name: &[u8], value: &[u8]| match name.to_ascii_lowercase().as_slice() {
            b"realm" => self.reference(value, true),
            b"service" | b"scope" => None,
            _ if value.starts_with(b"/") => None,
            _ => self.reference(value, false),
        };
        let field = challenge.as_bytes();
        let values = challenge::parameters(field).into_iter();
        substitute(
            field,
            values.filter_map(|(name, at)| {
                let new = replaced(name, field.get(at.clone())?)?;
                Some((at, new))
            }),
        )
    }

    /// What the client gets for a reference to the registry; `None` for any other, and for a path
    /// that may stay as it is.
    fn reference(&self, text: &[u8], always: bool) -> Option<HeaderValue> {
        let reference = Reference::parse(text)?;
        let own = self.registry_path(reference.path);
        let is_right = reference.authority.is_none() && own.len() == reference.path.len() && !always;
        let is_own = reference.authority.is_none() || self.is_own(&reference);
        if is_own && !is_right { self.absolute(self.client.as_str().as_bytes(), own) } else { None }
    }

    /// What the client gets for another page of the list at `asked`; `None` for any other, and for
    /// a path that may stay as it is.
    fn page(&self, text: &[u8], asked: &str) -> Option<HeaderValue> {
        let reference = Reference::parse(text)?;
        let own = from_api_base(reference.path)?;
        let is_right = reference.authority.is_none() && own.len() == reference.path.len();
        let path = own.split(|byte| matches!(byte, b'?' | b'#')).next()?;
        let is_same = path == asked.as_bytes();
        if is_same && !is_right { self.absolute(self.client.as_str().as_bytes(), own) } else { None }
    }

    /// A path of the registry as clients know it: without what it begins with at the registry.
    fn registry_path<'p>(&self, path: &'p [u8]) -> &'p [u8] {
        let rest = path.strip_prefix(self.registry.path.as_bytes());
        rest.filter(|rest| matches!(rest, [] | [b'/' | b'?' | b'#', ..])).unwrap_or(path)
    }

    /// Whether a reference with a host names the registry or tidegate.
    fn is_own(&self, reference: &Reference<'_>) -> bool {
        let scheme = self.scheme();
        let theirs = reference.scheme.unwrap_or(scheme);
        reference.names(self.client.host_port(), scheme)
            || self.registry.servers.iter().any(|server| reference.names(server.host_port(), theirs))
            || self.registry.named.is_some_and(|named| reference.names(named, theirs))
    }

    fn scheme(&self) -> Scheme {
        if self.https { Scheme::Https } else { Scheme::Http }
    }

    fn absolute(&self, authority: &[u8], path: &[u8]) -> Option<HeaderValue> {
        let scheme = self.scheme().as_str().as_bytes();
        HeaderValue::from_bytes(&[scheme, b"://", authority, path].concat()).ok()
    }
}

/// Where the targets stand in a `Link`.
pub(crate) fn targets(field: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let find = |start: usize, wanted: u8| {
        field.iter().skip(start).position(|&byte| byte == wanted).map(|at| start + at)
    };
    let mut next = 0;
    std::iter::from_fn(move || {
        let start = find(next, b'<')? + 1;
        next = find(start, b'>')?;
        Some(start..next)
    })
}

/// `field` with other texts in some places, from left to right; `None` without any.
pub(crate) fn substitute(
    field: &[u8],
    places: impl Iterator<Item = (Range<usize>, HeaderValue)>,
) -> Option<HeaderValue> {
    let (mut done, mut copied) = (Vec::new(), 0);
    for (place, new) in places {
        done.extend_from_slice(field.get(copied..place.start)?);
        done.extend_from_slice(new.as_bytes());
        copied = place.end;
    }
    done.extend_from_slice(field.get(copied..)?);
    HeaderValue::from_bytes(&done).ok().filter(|_| copied > 0)
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

#[cfg(test)]
mod tests;
