//! What a 401 asks for: one scheme, because clients that are offered two take the wrong one.

use http::HeaderValue;

use super::{RequestContext, token};
use crate::config::AuthMode;
use crate::token::Tokens;

/// An error code of RFC 6750 section 3.1, with a sentence for people.
pub(super) type Error<'a> = (&'static str, &'a str);

/// The token does not count.
pub(super) const INVALID: &str = "invalid_token";
/// It counts, and does not go so far.
pub(super) const INSUFFICIENT: &str = "insufficient_scope";

/// The `WWW-Authenticate` of a refusal: of `Basic` (RFC 7617) or `Bearer` (RFC 6750) as `auth.mode` has it; none where nobody is
/// asked. `error` counts for `Bearer` alone.
pub(super) fn challenge(context: &RequestContext<'_>, error: Option<Error<'_>>) -> Option<HeaderValue> {
    match (context.state.config.auth.mode, &context.state.tokens) {
        (AuthMode::Off, _) => None,
        (AuthMode::Token, Some(tokens)) => bearer(context, tokens, error),
        (AuthMode::Basic | AuthMode::Token, _) => Some(context.state.challenge.clone()),
    }
}

/// Names the endpoint as the client would, by the host that it asked for, and the scope that the request takes.
fn bearer(context: &RequestContext<'_>, tokens: &Tokens, error: Option<Error<'_>>) -> Option<HeaderValue> {
    let scheme = if context.client.https { "https" } else { "http" };
    let realm = format!("{scheme}://{}{}", context.host(), token::PATH);
    let scope = context.needs().map(|scope| scope.to_string());
    let (code, sentence) = error.unzip();
    let service = context.service(tokens);
    let parameters = [
        ("realm", Some(realm.as_str())),
        ("service", Some(&service)),
        ("scope", scope.as_deref()),
        ("error", code),
        ("error_description", sentence),
    ];
    let written = parameters.iter().filter_map(|(name, value)| Some(format!("{name}={}", quoted((*value)?))));
    HeaderValue::try_from(format!("Bearer {}", written.collect::<Vec<_>>().join(","))).ok()
}

/// A quoted-string (RFC 9110 section 5.6.4). A character that clients would read differently is none of ours, and dropped.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars().filter(|char| matches!(char, ' '..='~')) {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted + "\""
}
