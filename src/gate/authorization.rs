//! What the registry gets as `Authorization`: the user's name, what the client sent, or nothing.
//!
//! A registry that verifies tokens itself gets the client's where that is enough for it. Where it is not, because the client
//! came with something else or the registry wants a right that clients do not ask for, it gets one made for that request.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::reject::Refusal;
use super::{RequestContext, token};
use crate::access::{Identity, Permit};
use crate::config::UpstreamAuthorization;
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::registry::target::Operation;
use crate::token::Tokens;

/// Why the registry is asked.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// It gets the client's request, with this query.
    Request(Option<&'a str>),
    /// Tidegate has to know something first.
    Question,
}

/// Replaces what the client sent with what the registry is to get.
pub(super) fn settle(
    headers: &mut HeaderMap,
    context: &RequestContext<'_>,
    permit: &Permit,
    purpose: Purpose<'_>,
) -> Result<(), Refusal> {
    let value = match (context.state.config.upstream.authorization, &context.state.tokens) {
        (UpstreamAuthorization::Pass, None) => return Ok(()),
        (UpstreamAuthorization::Pass, Some(_)) if suffices(context, permit, purpose) => return Ok(()),
        (UpstreamAuthorization::Pass, Some(tokens)) => {
            Some(made(context, tokens, permit.identity(), purpose)?)
        }
        (UpstreamAuthorization::User, _) => user(permit.identity()),
        (UpstreamAuthorization::None, _) => None,
    };
    match value {
        Some(value) => _ = headers.insert(AUTHORIZATION, value),
        None => _ = headers.remove(AUTHORIZATION),
    }
    Ok(())
}

/// With no authentication of its own the registry names the user of a Basic header in its events; it never needs the password.
fn user(identity: &Identity) -> Option<HeaderValue> {
    let Identity::User(name) = identity else { return None };
    let encoded = STANDARD.encode([name.as_slice(), b":"].concat());
    HeaderValue::try_from(format!("Basic {encoded}")).ok()
}

/// Whether the client's own token will do. Distribution wants `registry:catalog:*` for the catalog, and `delete` for the cancel
/// of an upload, where a client has neither.
fn suffices(context: &RequestContext<'_>, permit: &Permit, purpose: Purpose<'_>) -> bool {
    let is_usual = !matches!(context.target.operation, Operation::Catalog | Operation::UploadCancel);
    permit.has_token() && is_usual && matches!(purpose, Purpose::Request(_))
}

/// A token for what was permitted, and no more.
fn made(
    context: &RequestContext<'_>,
    tokens: &Tokens,
    identity: &Identity,
    purpose: Purpose<'_>,
) -> Result<HeaderValue, Refusal> {
    let subject = token::subject(identity)?;
    let issued =
        tokens.issue(subject, &context.service(tokens), &scopes(context, purpose), SystemTime::now());
    let issued = issued.map_err(token::not_issued)?;
    let value = HeaderValue::try_from([b"Bearer ", issued.token.expose()].concat());
    value.map_err(|_| Refusal::Busy)
}

fn scopes(context: &RequestContext<'_>, purpose: Purpose<'_>) -> Vec<Scope> {
    let operation = context.target.operation;
    let Some(repository) = context.target.repository else {
        let catalog = Scope { resource: Resource::Catalog, rights: Rights::CATALOG };
        return if operation == Operation::Catalog { vec![catalog] } else { Vec::new() };
    };
    let (rights, query) = match (purpose, operation) {
        (Purpose::Question, _) => (Rights::PULL, None),
        (Purpose::Request(query), Operation::UploadCancel) => (Rights::ALL, query),
        (Purpose::Request(query), _) => (operation.rights(), query),
    };
    let mut scopes = vec![Scope::repository(repository, rights)];
    if operation == Operation::UploadStart {
        // A mount that was not allowed is no longer in the query.
        let source =
            form_urlencoded::parse(query.unwrap_or_default().as_bytes()).find(|(key, _)| key == "from");
        let source = source.map(|(_, name)| name).filter(|name| name != repository);
        scopes.extend(source.map(|name| Scope::repository(&name, Rights::PULL)));
    }
    scopes
}
