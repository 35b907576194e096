//! The token service of the registry itself. Clients may reach it only where they log in to the
//! registry, and tidegate has no logins of its own.

use std::borrow::Cow;

use form_urlencoded::Serializer;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, Method};

use super::context::RequestContext;
use crate::config::{AuthMode, UpstreamAuthorization};
use crate::header::authority::Host;
use crate::header::challenge;
use crate::registry::renaming;
use crate::registry::target::{self, Operation};
use crate::routes::Route;
use crate::state::State;

/// The registry whose token service a request to `host` for `path` is for; `None` if there is none.
/// Several registries may have theirs at the same path: the first scope in the query decides.
pub(super) fn at<'a>(state: &'a State, host: Host<'_>, path: &str, query: Option<&str>) -> Option<&'a Route> {
    let has_one = |route: &Route| route.has_token_service_at(path);
    if state.config.auth.mode != AuthMode::Off || !state.routes.all().any(has_one) {
        return None;
    }
    let scopes =
        form_urlencoded::parse(query.unwrap_or_default().as_bytes()).filter(|(key, _)| key == "scope");
    let mut scopes = scopes.map(|(_, scopes)| scopes);
    let repository = scopes.find_map(|scopes| {
        let scope = scopes.split(' ').find_map(renaming::repository_in);
        scope.map(|(_, repository, _)| repository.to_owned())
    });
    Some(state.routes.find(host, repository.as_deref())).filter(|route| has_one(route))
}

/// The query for the token service of the registry. It names the registry's own repositories, under
/// the names that the registry has for them, and no others.
pub(super) fn query<'a>(context: &RequestContext<'_>, query: Option<&'a str>) -> Option<Cow<'a, str>> {
    let query = query?;
    if !context.state.routes.has_several() {
        return Some(Cow::Borrowed(query));
    }
    let inner = |scope: &str| match renaming::repository_in(scope) {
        None => Some(scope.to_owned()),
        Some((before, outer, after)) => {
            let route = context.state.routes.find(context.authority.host(), Some(outer));
            let inner = route.renaming.inner(outer).filter(|_| route.is(context.route))?;
            Some(format!("{before}{inner}{after}"))
        }
    };
    let mut onward = Vec::new();
    for parameter in query.split('&') {
        match form_urlencoded::parse(parameter.as_bytes()).next() {
            Some((key, scopes)) if key == "scope" => {
                let scopes = scopes.split(' ').filter_map(inner).collect::<Vec<_>>().join(" ");
                if !scopes.is_empty() {
                    onward.push(Serializer::new(String::new()).append_pair("scope", &scopes).finish());
                }
            }
            _ => onward.push(parameter.to_owned()),
        }
    }
    Some(Cow::Owned(onward.join("&")))
}

/// Records where the registry says that its token service is. The challenges in `headers` are those
/// for the client: they name this host for the registry's own.
pub(super) fn learn(context: &RequestContext<'_>, headers: &HeaderMap) {
    let route = context.route;
    if context.state.config.auth.mode != AuthMode::Off
        || route.registry.authorization != UpstreamAuthorization::Pass
    {
        return;
    }
    let host = context.origin();
    for field in headers.get_all(WWW_AUTHENTICATE) {
        let field = field.as_bytes();
        let realms = challenge::parameters(field).into_iter();
        let realms = realms.filter(|(name, _)| name.eq_ignore_ascii_case(b"realm"));
        let path = realms.filter_map(|(_, at)| path_of(field.get(at)?, &host)).next();
        if let Some(path) = path.filter(|path| !route.has_token_service_at(path)) {
            route.learn_token_path(path);
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
