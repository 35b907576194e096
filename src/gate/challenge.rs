//! The challenge of a 401: one scheme, because clients that are offered two take the wrong one.

use http::HeaderValue;

use super::context::RequestContext;
use crate::config::AuthMode;
use crate::header::challenge::{Bearer, BearerError};
use crate::registry::grant;
use crate::token::Tokens;

impl RequestContext<'_> {
    /// The `WWW-Authenticate` of a 401, for the scheme that `auth.mode` chooses; none for `off`.
    /// `error` is for `Bearer` alone.
    pub(super) fn challenge(&self, error: Option<(BearerError, &str)>) -> Option<HeaderValue> {
        match (self.state.config.auth.mode, &self.state.tokens) {
            (AuthMode::Off, _) => None,
            (AuthMode::Token, Some(tokens)) => self.bearer_challenge(tokens, error),
            (AuthMode::Basic | AuthMode::Token, _) => self.state.challenge.clone(),
        }
    }

    /// Names the token endpoint under the host that the client asked for, and the scopes of the
    /// request, as one parameter (RFC 6750 section 3).
    fn bearer_challenge(&self, tokens: &Tokens, error: Option<(BearerError, &str)>) -> Option<HeaderValue> {
        let scheme = if self.client.https { "https" } else { "http" };
        let realm = format!("{scheme}://{}{}", self.authority.as_str(), grant::PATH);
        let scopes: Vec<String> = self.needs().iter().map(ToString::to_string).collect();
        let scope = scopes.join(" ");
        let service = self.service(tokens);
        Bearer {
            realm: &realm,
            service: &service,
            scope: Some(&*scope).filter(|scope| !scope.is_empty()),
            error,
        }
        .field()
    }
}
