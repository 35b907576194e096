//! What is known of a request once its head was judged, and the refusals that depend on it.

use std::borrow::Cow;
use std::rc::Rc;

use http::HeaderValue;

use super::reject::{DENIED, Refusal, denial};
use super::{Gate, challenge};
use crate::access::{self, Caller, Denied, Identity, Permit};
use crate::body::Flow;
use crate::header::forwarded::Client;
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::registry::target::{Operation, Target};
use crate::state::State;
use crate::token::{Invalid, Tokens};

/// What is known of a request once its head was judged.
pub(super) struct RequestContext<'a> {
    pub(super) gate: &'a Gate,
    pub(super) state: &'a State,
    pub(super) client: &'a Client,
    /// Host and port that were asked for, as the client wrote them.
    pub(super) authority: &'a HeaderValue,
    pub(super) target: &'a Target<'a>,
    pub(super) flow: &'a Rc<Flow>,
}

impl RequestContext<'_> {
    /// Host and port that were asked for.
    pub(super) fn host(&self) -> &str {
        self.authority.to_str().unwrap_or_default()
    }

    /// Whom tokens have to be for.
    pub(super) fn service<'a>(&'a self, tokens: &'a Tokens) -> Cow<'a, str> {
        tokens.service(self.host())
    }

    /// What a token would have to allow.
    pub(super) fn needs(&self) -> Option<Scope> {
        match (self.target.operation, self.target.repository) {
            (Operation::Catalog, _) => Some(Scope { resource: Resource::Catalog, rights: Rights::CATALOG }),
            (operation, Some(repository)) if !operation.rights().is_empty() => {
                Some(Scope::repository(repository, operation.rights()))
            }
            _ => None,
        }
    }

    /// Nobody knows who this is; the reason is for the log alone.
    pub(super) fn unauthorized(&self, reason: &'static str) -> Refusal {
        Refusal::Unauthorized { reason, client_message: None, challenge: challenge::challenge(self, None) }
    }

    /// He came with a token that does not count.
    pub(super) fn invalid(&self, invalid: Invalid) -> Refusal {
        let reason = invalid.reason();
        let challenge = challenge::challenge(self, Some((challenge::INVALID, reason)));
        Refusal::Unauthorized { reason, client_message: Some(reason.to_owned()), challenge }
    }

    /// May he do this? The only way to a [`Permit`].
    pub(super) fn decide(&self, caller: Caller) -> Result<Permit, Refusal> {
        let bearer = caller.bearer().cloned();
        let permit = access::decide(&self.state.rules, caller, self.target);
        permit.map_err(|denied| self.denied(denied, bearer.as_ref()))
    }

    /// `bearer` is whom the token is for, where the request came with one.
    fn denied(&self, denied: Denied, bearer: Option<&Identity>) -> Refusal {
        match denied {
            Denied::Unknown => self.unauthorized("no credentials"),
            Denied::TooLittle(missing) => match bearer {
                None => Refusal::Denied(missing),
                Some(identity) => self.insufficient(missing, identity),
            },
            Denied::NoMethod(methods) => Refusal::NoMethod(methods),
            Denied::NoPath => Refusal::NoPath,
        }
    }

    /// With a valid token too, this is 401: clients then ask for a better one, and show the sentence when there is none.
    fn insufficient(&self, missing: Scope, bearer: &Identity) -> Refusal {
        let is_stranger = *bearer == Identity::Anonymous;
        let (reason, sentence) = match &missing.resource {
            Resource::Repository(name) if self.state.rules.rights(bearer, name).contains(missing.rights) => {
                ("the token does not allow this", format!("the token does not allow {missing}"))
            }
            _ if is_stranger => ("nobody may do this without a login", denial("log in to", &missing)),
            _ => (DENIED, denial("this user may not", &missing)),
        };
        let challenge = challenge::challenge(self, Some((challenge::INSUFFICIENT, &sentence)));
        Refusal::Insufficient { missing, is_stranger, reason, sentence, challenge }
    }
}
