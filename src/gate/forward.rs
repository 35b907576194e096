//! From the request that came to the request that goes on.

use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, EXPECT, Entry, HOST};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};

use super::authorization::{self, Purpose};
use super::reject::Refusal;
use super::{RequestContext, head_checks};
use crate::access::Permit;
use crate::body::{ClientBody, Limits, UnreadBody};
use crate::header::{forwarded, hop};
use crate::registry::target::Operation;

/// Where the request goes: `path` and `query` in origin-form, as they were understood.
pub(super) fn target(sent: &Uri, path: &str, query: Option<&str>) -> Result<Uri, Refusal> {
    let target = match sent.path_and_query() {
        Some(target) if target.path() == path && target.query() == query => target.clone(),
        _ => match query {
            None | Some("") => PathAndQuery::try_from(path),
            Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        }
        .map_err(|_| Refusal::Path)?,
    };
    Ok(Uri::from(target))
}

/// Makes the request for the registry, whose target is [`target`]'s: written anew from what was understood, with one framing.
pub(super) fn rewrite(
    request: Request<UnreadBody>,
    context: &RequestContext<'_>,
    permit: &Permit,
) -> Result<Request<ClientBody>, Refusal> {
    let (config, flow, operation) = (&context.state.config, context.flow, context.target.operation);
    let most = match operation {
        Operation::ManifestPut => config.limits.manifest_bytes,
        _ => u64::MAX,
    };
    let has_body = head_checks::has_body(&request);
    let version = request.version();
    let (mut head, incoming) = request.into_parts();
    let length = match head.method {
        _ if has_body => head_checks::declared_length(&head.headers),
        Method::POST | Method::PUT | Method::PATCH => Some(0),
        _ => None,
    };
    if length.is_some_and(|length| length > most) {
        return Err(Refusal::BodyTooLarge);
    }
    head.version = Version::HTTP_11;

    let headers = &mut head.headers;
    hop::strip(headers);
    headers.remove(EXPECT);
    join_cookies(headers);
    if operation.is_upload() {
        call_it_bytes(headers);
    }
    introduce(headers, context, permit, Purpose::Request(head.uri.query()))?;
    // Written anew: 005 is a number that not everybody reads the same. Without it hyper sends chunks.
    headers.remove(CONTENT_LENGTH);
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }

    let limits = Limits { idle: config.limits.idle_timeout, min_rate: config.limits.min_rate, bytes: most };
    let body = match has_body {
        true => ClientBody::new(incoming, version, flow.clone(), limits),
        false => ClientBody::empty(flow.clone()),
    };
    Ok(Request::from_parts(head, body))
}

/// A registry written in Go takes `mount`, `from` and `digest` from the body, before the query, when the body is called a form;
/// curl calls every body one. Go reads more spellings as the name of a form than there are to list, and an upload is nothing but bytes.
fn call_it_bytes(headers: &mut HeaderMap) {
    if let Entry::Occupied(mut kind) = headers.entry(CONTENT_TYPE) {
        kind.insert(HeaderValue::from_static("application/octet-stream"));
    }
}

/// Puts in what the registry is told of whom a request is from and where it came in.
pub(super) fn introduce(
    headers: &mut HeaderMap,
    context: &RequestContext<'_>,
    permit: &Permit,
    purpose: Purpose<'_>,
) -> Result<(), Refusal> {
    forwarded::rewrite(headers, context.client, context.authority);
    headers.insert(HOST, context.authority.clone());
    authorization::settle(headers, context, permit, purpose)
}

/// RFC 9113 section 8.2.3: HTTP/2 may send a cookie in crumbs, HTTP/1.1 wants it whole.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() > 1
        && let Ok(cookie) = HeaderValue::from_bytes(&crumbs.join(&b"; "[..]))
    {
        headers.insert(COOKIE, cookie);
    }
}
