//! The token service of the registry itself. Clients may reach it only where they log in to the
//! registry, and tidegate has no logins of its own.

use std::sync::Arc;

use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Method};

use super::context::RequestContext;
use crate::config::{AuthMode, Config, UpstreamAuthorization};
use crate::header::challenge;
use crate::registry::target::{self, Operation};
use crate::state::State;

/// Whether `path` is that of the registry's token service: a usual one, the configured one, or the
/// one that the registry named last.
pub(super) fn is_at(state: &State, path: &str) -> bool {
    let is_named = || state.token_path.load().as_ref().is_some_and(|named| **named == path);
    log_in_to_registry(&state.config)
        && (matches!(path, "/v2/token" | "/v2/auth")
            || state.config.upstream.token_path.as_deref() == Some(path)
            || is_named())
}

/// Records where the registry says that its token service is. The challenges in `headers` are those
/// for the client: they name this host for the registry's own.
pub(super) fn learn(context: &RequestContext<'_>, headers: &HeaderMap) {
    if !log_in_to_registry(&context.state.config) {
        return;
    }
    let scheme = if context.client.https { "https" } else { "http" };
    let host = format!("{scheme}://{}", context.authority.as_str());
    for field in headers.get_all(WWW_AUTHENTICATE) {
        let field = field.as_bytes();
        let realms = challenge::parameters(field).into_iter();
        let realms = realms.filter(|(name, _)| name.eq_ignore_ascii_case(b"realm"));
        let path = realms.filter_map(|(_, at)| path_of(field.get(at)?, &host)).next();
        if let Some(path) = path.filter(|path| !is_at(context.state, path)) {
            context.state.token_path.store(Some(Arc::new(path.to_owned())));
        }
    }
}

/// The path of `realm` on `host`, unless it is one of the API or has more than one spelling.
fn path_of<'a>(realm: &'a [u8], host: &str) -> Option<&'a str> {
    let path = str::from_utf8(realm).ok()?.strip_prefix(host)?.split(['?', '#']).next()?;
    let is_free = path.len() > 1
        && path.starts_with('/')
        && path != target::BASE_WITHOUT_SLASH
        && target::decode(path) == path
        && target::parse(&Method::GET, path).operation == Operation::NoPath;
    Some(path).filter(|_| is_free)
}

fn log_in_to_registry(config: &Config) -> bool {
    config.auth.mode == AuthMode::Off && config.upstream.authorization == UpstreamAuthorization::Pass
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_outside_of_the_api_can_be_that_of_a_token_service() {
        let path = |realm: &str| path_of(realm.as_bytes(), "https://localhost").map(str::to_owned);
        for own in ["/service/token", "/v2/users/token", "/token", "/jwt/auth"] {
            assert_eq!(path(&format!("https://localhost{own}?a=/b")).as_deref(), Some(own));
        }
        for other in [
            "Registry",
            "/service/token",
            "https://localhost",
            "https://localhost/",
            "https://localhost.example/token",
            "https://localhost:5000/token",
            "https://localhost/v2",
            "https://localhost/v2/",
            "https://localhost/v2/_catalog",
            "https://localhost/v2/a/manifests/b",
            "https://localhost/v2/a/blobs/uploads/",
            "https://localhost/service/%74oken",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }
}
