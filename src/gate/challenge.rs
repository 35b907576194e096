//! The challenge of a 401: one scheme, because clients that are offered two take the wrong one.

use http::HeaderValue;

use super::context::RequestContext;
use crate::config::AuthMode;
use crate::header::challenge::{Bearer, BearerError};
use crate::registry::grant;
use crate::token::Tokens;

/// The `WWW-Authenticate` of a refusal, for the scheme that `auth.mode` chooses; none for `off`. `error`
/// is for `Bearer` alone.
pub(super) fn challenge(
    context: &RequestContext<'_>,
    error: Option<(BearerError, &str)>,
) -> Option<HeaderValue> {
    match (context.state.config.auth.mode, &context.state.tokens) {
        (AuthMode::Off, _) => None,
        (AuthMode::Token, Some(tokens)) => bearer(context, tokens, error),
        (AuthMode::Basic | AuthMode::Token, _) => context.state.challenge.clone(),
    }
}

/// Names the token endpoint under the host that the client asked for, and the scope of the request.
fn bearer(
    context: &RequestContext<'_>,
    tokens: &Tokens,
    error: Option<(BearerError, &str)>,
) -> Option<HeaderValue> {
    let scheme = if context.client.https { "https" } else { "http" };
    let realm = format!("{scheme}://{}{}", context.authority.as_str(), grant::PATH);
    let scope = context.needs().map(|scope| scope.to_string());
    let service = context.service(tokens);
    Bearer { realm: &realm, service: &service, scope: scope.as_deref(), error }.field()
}
