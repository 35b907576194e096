//! Where a registry continues an upload: any place of its own, says the distribution specification.

use http::Method;
use http::uri::PathAndQuery;

use super::grant;
use super::name;
use super::target::{self, Operation};

/// Longest place that is carried. It has to fit into the path of a request.
const LONGEST: usize = 4096;

/// What a place of an upload is to the rules.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The usual path of an upload of this repository, which the rules understand.
    Usual,
    /// A place of which the rules know nothing. It can be reached through the usual path of an
    /// upload.
    Elsewhere,
    /// Part of the API: of another kind, or of another repository. Or no place that can be reached.
    Other,
}

/// What `place`, path and query of an upload of `repository`, is to the rules. Only a place that is
/// nothing else to them is [`Place::Elsewhere`].
pub(crate) fn classify(place: &str, repository: &str) -> Place {
    let (written, has_query) = match place.split_once('?') {
        Some((path, query)) => (path, !query.is_empty()),
        None => (place, false),
    };
    let path = target::decode(written);
    let target = target::parse(&Method::PATCH, &path);
    let is_own = target.repository == Some(repository);
    let fits = match target.operation {
        Operation::UploadChunk if is_own && path == written => return Place::Usual,
        // Clients may not write it with all the escapes that a registry may.
        Operation::UploadChunk => is_own,
        // The query names the upload.
        Operation::NoMethod(_) => is_own && has_query && path.ends_with("/blobs/uploads/"),
        Operation::NoPath => {
            path != grant::PATH && path != target::BASE_WITHOUT_SLASH && may_be_of(&path, repository)
        }
        _ => false,
    };
    if fits && place.len() <= LONGEST && is_plain(place, &path) { Place::Elsewhere } else { Place::Other }
}

/// Whether a request can be sent to `place`, whose decoded `path` can be read in one way only.
fn is_plain(place: &str, path: &str) -> bool {
    place.starts_with('/')
        && PathAndQuery::try_from(place).is_ok()
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        && !path.contains(['\\', '\u{fffd}'])
        && !path.contains(|character: char| character.is_control())
}

/// Whether a path outside of the API may be of `repository`, and does not look like one of another
/// repository.
fn may_be_of(path: &str, repository: &str) -> bool {
    let Some(rest) = path.strip_prefix("/v2/") else { return true };
    let looks_like_another = rest.match_indices("/uploads/").any(|(end, _)| {
        let owner = &rest[..end];
        let owner = owner.strip_suffix("/blobs").unwrap_or(owner);
        name::is_repository(owner) && owner != repository
    });
    let is_below = rest.strip_prefix(repository).is_some_and(|rest| rest.starts_with('/'));
    // No name of a repository begins with an underscore.
    !looks_like_another && (is_below || rest.starts_with('_') || rest.starts_with("uploads/"))
}

/// The path and query that `reference` names for whoever has asked for the path and query `asked`,
/// as in RFC 3986 section 5.2. `None` if the reference names a host or a scheme.
pub(crate) fn resolve(asked: &str, reference: &str) -> Option<String> {
    let reference = reference.split('#').next().unwrap_or_default();
    let (path, query) = match reference.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (reference, None),
    };
    if path.starts_with("//") || path.split('/').next().is_some_and(|first| first.contains(':')) {
        return None;
    }
    let (base, base_query) = match asked.split_once('?') {
        Some((base, query)) => (base, Some(query)),
        None => (asked, None),
    };
    let (path, query) = match path {
        "" => (base.to_owned(), query.or(base_query)),
        path if path.starts_with('/') => (without_dots(path), query),
        path => {
            let folder = &base[..base.rfind('/').map_or(0, |slash| slash + 1)];
            (without_dots(&format!("{folder}{path}")), query)
        }
    };
    Some(match query {
        Some(query) => format!("{path}?{query}"),
        None => path,
    })
}

/// RFC 3986 section 5.2.4.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "." | ".." => {
                if segment == ".." {
                    kept.pop();
                }
                if is_last {
                    kept.push("");
                }
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

/// `place`, with escapes in place of what RFC 3986 does not allow in a path or a query.
pub(crate) fn escaped(place: &str) -> String {
    let bytes = place.as_bytes();
    let mut escaped = String::with_capacity(bytes.len());
    for (index, &byte) in bytes.iter().enumerate() {
        let is_allowed = match byte {
            b'%' => {
                bytes.get(index + 1..index + 3).is_some_and(|code| code.iter().all(u8::is_ascii_hexdigit))
            }
            _ => byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte),
        };
        if is_allowed {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// `place`, with what a client may add to it: the digest of the upload. Anything else in `query`
/// could change what the place is, and is left out. `None` if the query can be read in two ways.
pub(crate) fn with_digest(place: &str, query: Option<&str>) -> Option<String> {
    let mut onward = place.to_owned();
    for parameter in query.unwrap_or_default().split('&') {
        if parameter.contains(';') {
            return None;
        }
        let key = form_urlencoded::parse(parameter.as_bytes()).next().map(|(key, _)| key.into_owned());
        if key.as_deref() == Some("digest") {
            onward.push(if onward.contains('?') { '&' } else { '?' });
            onward.push_str(parameter);
        }
    }
    Some(onward)
}

#[cfg(test)]
mod tests;
