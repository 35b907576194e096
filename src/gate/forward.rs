//! From the client's request to the request for the registry.

use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, Entry, HOST};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use super::authorization::Purpose;
use super::context::RequestContext;
use super::head_checks;
use super::mount::Mount;
use super::refusal::Refusal;
use crate::access::Permit;
use crate::body::{ClientBody, Limits, UnreadBody};
use crate::header::{forwarded, hop};
use crate::registry::target::Operation;

/// The target of the request for the registry: `path` and `query` in origin-form, as they were
/// understood.
pub(super) fn target(sent: &Uri, path: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    if let Some(target) = sent.path_and_query()
        && (target.path(), target.query()) == (path, query)
    {
        return Ok(Uri::from(target.clone()));
    }
    let target = match query {
        None | Some("") => PathAndQuery::try_from(path),
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
    };
    target.map(Uri::from).map_err(|_| Refusal::Path)
}

/// Makes the request for the registry, whose target is already [`target`]'s: written anew from what
/// was understood, with one framing.
pub(super) fn rewrite(
    context: &RequestContext<'_>,
    permit: &Permit,
    request: Request<UnreadBody>,
    mount: &Mount,
) -> Result<Box<Request<ClientBody>>, Refusal> {
    let limits = limits(context);
    let has_body = head_checks::has_body(&request);
    let version = request.version();
    let (mut head, incoming) = request.into_parts();
    let length = length(&head, has_body);
    if length.is_some_and(|length| length > limits.bytes) {
        return Err(Refusal::BodyTooLarge);
    }
    head.version = Version::HTTP_11;

    let headers = &mut head.headers;
    hop::strip(headers);
    headers.remove(EXPECT);
    join_cookies(headers);
    if context.target.operation.is_upload() {
        mark_as_bytes(headers);
    }
    if context.route.renaming.is_needed() {
        // The names in a body could not be read otherwise.
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    context.set_client_fields(headers, permit, Purpose::Request(mount))?;
    // Written anew: not every reader understands 005 in the same way. Without it the body
    // goes in chunks.
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }

    let body = if has_body {
        ClientBody::new(incoming, version, context.flow.clone(), limits)
    } else {
        ClientBody::empty(context.flow.clone())
    };
    Ok(Box::new(Request::from_parts(head, body)))
}

impl RequestContext<'_> {
    /// Inserts the fields that tell the registry who sent the request, for which host, and how it
    /// is called in the log.
    pub(super) fn set_client_fields(
        &self,
        headers: &mut HeaderMap,
        permit: &Permit,
        purpose: Purpose<'_>,
    ) -> Result<(), Refusal> {
        let host = self.authority.field();
        forwarded::rewrite(headers, self.client, host);
        headers.insert(HOST, host.clone());
        self.log.tell_id(headers);
        self.authorize(headers, permit, purpose)
    }
}

/// The limits of the request's body.
pub(super) fn limits(context: &RequestContext<'_>) -> Limits {
    let settings = &context.state.config.limits;
    let bytes = match context.target.operation {
        Operation::ManifestPut | Operation::TokenOfRegistry => settings.manifest_bytes,
        _ => u64::MAX,
    };
    Limits { idle: settings.idle_timeout, min_rate: settings.min_rate, bytes }
}

/// The `Content-Length` of the request for the registry.
fn length(head: &Parts, has_body: bool) -> Option<u64> {
    match head.method {
        _ if has_body => head_checks::declared_length(&head.headers),
        Method::POST | Method::PUT | Method::PATCH => Some(0),
        _ => None,
    }
}

/// A registry written in Go reads `mount`, `from` and `digest` first from a body declared as a
/// form, then from the query; and curl declares every body as one. Go accepts more spellings of
/// that type than can be listed, so the body of an upload is always declared as bytes.
fn mark_as_bytes(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut kind) = headers.entry(CONTENT_TYPE) {
        kind.insert(HeaderValue::from_static("application/octet-stream"));
    }
}

/// RFC 9113 section 8.2.3: HTTP/2 may split a cookie into several fields, HTTP/1.1 has one.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookie);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(text: &str) -> Uri {
        text.parse().unwrap()
    }

    #[test]
    fn the_target_is_in_origin_form_and_as_it_was_understood() {
        for (text, path, query, expected) in [
            ("/v2/a?n=1", "/v2/a", Some("n=1"), "/v2/a?n=1"),
            ("https://registry/v2/a?n=1", "/v2/a", Some("n=1"), "/v2/a?n=1"),
            ("/v2/%61", "/v2/a", None, "/v2/a"),
            ("/v2/a?mount=x", "/v2/a", Some(""), "/v2/a"),
            ("/v2/a?mount=x&b", "/v2/a", Some("b"), "/v2/a?b"),
        ] {
            assert_eq!(target(&sent(text), path, query).unwrap(), sent(expected), "{text}");
        }
        assert!(matches!(target(&sent("/v2/a"), "/v2/a b", None), Err(Refusal::Path)));
    }

    #[test]
    fn a_request_without_a_body_says_so_where_one_is_usual() {
        for (method, declared, has_body, expected) in [
            (Method::GET, None, false, None),
            (Method::DELETE, None, false, None),
            (Method::POST, None, false, Some(0)),
            (Method::PUT, Some("0"), false, Some(0)),
            (Method::PATCH, Some("005"), true, Some(5)),
            (Method::PATCH, None, true, None),
        ] {
            let mut request = Request::new(());
            *request.method_mut() = method;
            if let Some(declared) = declared {
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static(declared));
            }
            let (head, ()) = request.into_parts();
            assert_eq!(length(&head, has_body), expected, "{head:?}");
        }
    }

    #[test]
    fn crumbs_of_a_cookie_become_one_field() {
        let mut headers = HeaderMap::new();
        for crumb in ["a=1", "b=2; c=3"] {
            headers.append(COOKIE, HeaderValue::from_static(crumb));
        }
        join_cookies(&mut headers);
        assert_eq!(headers.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2; c=3"]);
    }

    #[test]
    fn only_a_content_type_that_is_there_becomes_bytes() {
        let mut headers = HeaderMap::new();
        mark_as_bytes(&mut headers);
        assert!(headers.is_empty());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        mark_as_bytes(&mut headers);
        assert_eq!(headers[CONTENT_TYPE], "application/octet-stream");
    }
}
