//! From the request that came to the request that goes on.

use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, COOKIE, EXPECT, HOST};
use http::{HeaderMap, HeaderValue, Method, Request, Uri, Version};
use hyper::body::Incoming;

use super::hygiene;
use super::reject::Refusal;
use crate::access::{Identity, Permit};
use crate::body::{ClientBody, Flow, Limits};
use crate::config::{Config, UpstreamAuthorization};
use crate::header::forwarded::{self, Client};
use crate::header::hop;
use crate::registry::target::Operation;

/// Makes the request for the registry: written anew from what was understood, in origin-form, with one framing.
pub(super) fn rewrite(
    request: Request<Incoming>,
    permit: &Permit,
    client: &Client,
    authority: &HeaderValue,
    operation: Operation,
    config: &Config,
    flow: &Rc<Flow>,
) -> Result<Request<ClientBody>, Refusal> {
    let most = match operation {
        Operation::ManifestPut => config.limits.manifest_bytes,
        _ => u64::MAX,
    };
    let has_body = hygiene::has_body(&request);
    let version = request.version();
    let (mut head, incoming) = request.into_parts();
    let length = match head.method {
        _ if has_body => hygiene::declared_length(&head.headers),
        Method::POST | Method::PUT | Method::PATCH => Some(0),
        _ => None,
    };
    if length.is_some_and(|length| length > most) {
        return Err(Refusal::BodyTooLarge);
    }
    let target = head.uri.path_and_query().cloned();
    head.uri = target.map_or_else(|| Uri::from_static("/"), Uri::from);
    head.version = Version::HTTP_11;

    let headers = &mut head.headers;
    hop::strip(headers);
    headers.remove(EXPECT);
    join_cookies(headers);
    introduce(headers, permit, client, authority, config);
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

/// Puts in what the registry is told of whom a request is from and where it came in.
pub(super) fn introduce(
    headers: &mut HeaderMap,
    permit: &Permit,
    client: &Client,
    authority: &HeaderValue,
    config: &Config,
) {
    forwarded::rewrite(headers, client, authority);
    headers.insert(HOST, authority.clone());
    authorize(headers, permit.identity(), config.upstream.authorization);
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

/// With no authentication of its own the registry names the user of a Basic header in its events; it never needs the password.
fn authorize(headers: &mut HeaderMap, identity: &Identity, how: UpstreamAuthorization) {
    match (how, identity) {
        (UpstreamAuthorization::Pass, _) => {}
        (UpstreamAuthorization::User, Identity::User(name)) => {
            let encoded = STANDARD.encode([name.as_slice(), b":"].concat());
            match HeaderValue::try_from(format!("Basic {encoded}")) {
                Ok(value) => _ = headers.insert(AUTHORIZATION, value),
                Err(_) => _ = headers.remove(AUTHORIZATION),
            }
        }
        (UpstreamAuthorization::User | UpstreamAuthorization::None, _) => _ = headers.remove(AUTHORIZATION),
    }
}
