//! The `Authorization` that the registry gets: the user's name, what the client sent, one login for
//! all, or nothing.
//!
//! A registry that verifies tokens gets the client's token if that is sufficient. If not, because
//! the client sent something else or the registry wants a right that clients do not ask for, it
//! gets a token made for that one request.

use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};

use super::context::RequestContext;
use super::mount::Mount;
use super::refusal::Refusal;
use crate::access::{Identity, Permit};
use crate::config::UpstreamAuthorization;
use crate::registry::renaming::Renaming;
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::registry::target::{Operation, Target};
use crate::token::Tokens;

/// What the registry is sent.
#[derive(Clone, Copy)]
pub(super) enum Purpose<'a> {
    /// The client's request.
    Request(&'a Mount),
    /// A question of tidegate's own that the request depends on.
    Question,
}

impl RequestContext<'_> {
    /// Replaces the client's `Authorization` with the one for the registry.
    pub(super) fn authorize(
        &self,
        headers: &mut HeaderMap,
        permit: &Permit,
        purpose: Purpose<'_>,
    ) -> Result<(), Refusal> {
        let value = match (self.route.registry.authorization, &self.state.tokens) {
            (UpstreamAuthorization::Pass, None) => return Ok(()),
            (UpstreamAuthorization::Pass, Some(_)) if self.suffices(permit, purpose) => return Ok(()),
            (UpstreamAuthorization::Pass, Some(tokens)) => Some(self.issued(tokens, permit, purpose)?),
            (UpstreamAuthorization::User, _) => self.name_alone(permit.identity()),
            (UpstreamAuthorization::Basic, _) => self.route.registry.login.clone(),
            (UpstreamAuthorization::None, _) => None,
        };
        match value {
            Some(value) => _ = headers.insert(AUTHORIZATION, value),
            None => _ = headers.remove(AUTHORIZATION),
        }
        Ok(())
    }

    /// The user as a registry without authentication gets them. A connection nearly always has the
    /// same user, so it keeps the field.
    fn name_alone(&self, identity: &Identity) -> Option<HeaderValue> {
        let user = identity.user()?;
        let mut kept = self.peer.name_alone.borrow_mut();
        if kept.as_ref().is_none_or(|(known, _)| known != user) {
            *kept = Some((user.clone(), name_alone(identity)?));
        }
        kept.as_ref().map(|(_, field)| field.clone())
    }

    /// Whether the client's own token is sufficient. Distribution wants `registry:catalog:*` for
    /// the catalog, and `delete` to cancel an upload; clients have neither. Nor do clients know the
    /// names of a registry that has others.
    fn suffices(&self, permit: &Permit, purpose: Purpose<'_>) -> bool {
        let is_usual = !matches!(self.target.operation, Operation::Catalog | Operation::UploadCancel);
        let names_are_same = !self.route.renaming.is_needed();
        permit.has_token() && is_usual && names_are_same && matches!(purpose, Purpose::Request(_))
    }

    /// A token for what was permitted, and no more.
    fn issued(&self, tokens: &Tokens, permit: &Permit, purpose: Purpose<'_>) -> Result<HeaderValue, Refusal> {
        let scopes = scopes(self.target, purpose, &self.route.renaming);
        let issued = tokens.issue(permit.identity(), &self.service(tokens), &scopes, SystemTime::now())?;
        HeaderValue::try_from([b"Bearer ", issued.token.expose()].concat()).map_err(|_| Refusal::Unsigned)
    }
}

/// A registry without authentication names the user of a Basic field in its events. It never needs
/// the password.
fn name_alone(identity: &Identity) -> Option<HeaderValue> {
    // A colon would end the name there.
    let name: Vec<u8> =
        identity.user()?.as_bytes().iter().map(|b| if *b == b':' { b'/' } else { *b }).collect();
    let encoded = STANDARD.encode([&name, &b":"[..]].concat());
    HeaderValue::try_from(format!("Basic {encoded}")).ok()
}

/// The scopes of what is permitted, with the registry's names.
fn scopes(target: &Target<'_>, purpose: Purpose<'_>, renaming: &Renaming) -> Vec<Scope> {
    let Some(repository) = target.repository.and_then(|outer| renaming.inner(outer)) else {
        let catalog = Scope { resource: Resource::Catalog, rights: Rights::CATALOG };
        return if target.operation == Operation::Catalog { vec![catalog] } else { Vec::new() };
    };
    let rights = match (purpose, target.operation) {
        (Purpose::Question, _) => Rights::PULL,
        (Purpose::Request(_), Operation::UploadCancel) => Rights::ALL,
        (Purpose::Request(_), operation) => operation.rights(),
    };
    let mut scopes = vec![Scope::repository(repository, rights)];
    if let Purpose::Request(Mount::Kept(source)) = purpose
        && let Some(source) = renaming.inner(source)
        && source != repository
    {
        scopes.push(Scope::repository(source, Rights::PULL));
    }
    scopes
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::registry::target;
    use crate::user::User;

    fn scopes(method: Method, path: &str, purpose: Purpose<'_>) -> Vec<String> {
        let scopes = super::scopes(&target::parse(&method, path), purpose, &Renaming::default());
        scopes.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_user_without_a_password() {
        let field = name_alone(&Identity::from(User::local("alice").unwrap())).unwrap();
        assert_eq!(field, format!("Basic {}", STANDARD.encode("alice:")).as_str());
        assert_eq!(name_alone(&Identity::Anonymous), None);
    }

    #[test]
    fn scopes_of_what_was_permitted() {
        let uploads = "/v2/team/app/blobs/uploads/";
        let upload = "/v2/team/app/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
        let kept = |source: &str| Mount::Kept(source.to_owned());
        for (method, path, mount, expected) in [
            (Method::GET, "/v2/", Mount::Absent, &[][..]),
            (Method::GET, "/v2/_catalog", Mount::Absent, &["registry:catalog:*"]),
            (Method::GET, "/v2/team/app/manifests/v1", Mount::Absent, &["repository:team/app:pull"]),
            (Method::DELETE, "/v2/team/app/manifests/v1", Mount::Absent, &["repository:team/app:delete"]),
            (Method::DELETE, upload, Mount::Absent, &["repository:team/app:pull,push,delete"]),
            (Method::POST, uploads, Mount::Absent, &["repository:team/app:pull,push"]),
            (Method::POST, uploads, Mount::Dropped, &["repository:team/app:pull,push"]),
            (Method::POST, uploads, kept("team/app"), &["repository:team/app:pull,push"]),
            (Method::POST, uploads, kept("base"), &["repository:team/app:pull,push", "repository:base:pull"]),
        ] {
            assert_eq!(scopes(method.clone(), path, Purpose::Request(&mount)), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_registry_with_other_names_gets_scopes_with_those() {
        let hub = Renaming::stripping("hub/");
        let scopes = |source: &str| {
            let mount = Mount::Kept(source.to_owned());
            let target = target::parse(&Method::POST, "/v2/hub/team/app/blobs/uploads/");
            let scopes = super::scopes(&target, Purpose::Request(&mount), &hub);
            scopes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(scopes("hub/base"), ["repository:team/app:pull,push", "repository:base:pull"]);
    }

    #[test]
    fn a_question_only_reads() {
        let pull = ["repository:team/app:pull"];
        for method in [Method::PUT, Method::DELETE] {
            assert_eq!(scopes(method, "/v2/team/app/manifests/v1", Purpose::Question), pull);
        }
    }
}
