//! The decision about a request, and the 401s that tell the client what to come back with.

use std::borrow::Cow;

use http::HeaderValue;

use super::context::RequestContext;
use super::refusal::{DENIED, Refusal};
use crate::access::{self, Caller, Denied, Identity, Permit};
use crate::header::challenge::BearerError;
use crate::registry::scope::{Resource, Scope};
use crate::token::Invalid;

/// What the access log says of a request without credentials.
pub(super) const NO_CREDENTIALS: &str = "no credentials";

impl RequestContext<'_> {
    /// Decides whether the caller may do this. The only way to a [`Permit`].
    pub(super) fn decide(&self, caller: Caller) -> Result<Permit, Refusal> {
        let (identity, has_token) = (caller.identity.clone(), caller.token.is_some());
        access::decide(&self.state.rules, caller, self.target).map_err(|denied| match denied {
            Denied::Unknown => self.unauthorized(NO_CREDENTIALS),
            Denied::TooLittle(missing) if has_token => self.insufficient(missing, &identity),
            Denied::TooLittle(missing) => {
                Refusal::Denied { client_message: self.denial(&identity, &missing), missing }
            }
            Denied::NoMethod(methods) => Refusal::NoMethod(methods),
            Denied::NoPath => Refusal::NoPath,
        })
    }

    /// The client has not sent usable credentials.
    pub(super) fn unauthorized(&self, reason: &'static str) -> Refusal {
        self.refuse(reason, self.challenge(None))
    }

    /// The same, with another `challenge`.
    pub(super) fn refuse(
        &self,
        reason: impl Into<Cow<'static, str>>,
        challenge: Option<HeaderValue>,
    ) -> Refusal {
        let reason = reason.into();
        let is_routine = reason == NO_CREDENTIALS;
        Refusal::Unauthorized { client_message: self.log_in(&reason), reason, challenge, is_routine }
    }

    /// The password is wrong, or there is no such user: `reason` is for the log alone.
    pub(super) fn wrong_password(
        &self,
        reason: &'static str,
        user: &[u8],
        challenge: Option<HeaderValue>,
    ) -> Refusal {
        let client_message = self.wrong_password_of(user);
        Refusal::Unauthorized { reason: reason.into(), client_message, challenge, is_routine: false }
    }

    /// The client's token is not valid.
    pub(super) fn invalid(&self, invalid: Invalid) -> Refusal {
        let reason = invalid.reason();
        let challenge = self.challenge(Some((BearerError::InvalidToken, reason)));
        Refusal::Unauthorized {
            reason: reason.into(),
            client_message: reason.to_owned(),
            challenge,
            is_routine: true,
        }
    }

    /// The valid token of `bearer` does not allow the request. Answered with 401 too: clients then
    /// ask for a better token, and show the message when there is none.
    pub(super) fn insufficient(&self, missing: Scope, bearer: &Identity) -> Refusal {
        let is_stranger = *bearer == Identity::Anonymous;
        let is_routine = match &missing.resource {
            Resource::Repository(name) => self.state.rules.rights(bearer, name).contains(missing.rights),
            Resource::Catalog => false,
        };
        let (reason, client_message) = if is_routine {
            ("the token does not allow this", format!("the token does not allow {missing}"))
        } else if is_stranger {
            ("this needs a login", self.denial(bearer, &missing))
        } else {
            (DENIED, self.denial(bearer, &missing))
        };
        let challenge = self.challenge(Some((BearerError::InsufficientScope, &client_message)));
        Refusal::Insufficient { missing, is_stranger, is_routine, reason, client_message, challenge }
    }
}
