//! What is known of a request once its head was judged, and the refusals that depend on it.

use std::rc::Rc;

use http::HeaderValue;

use super::reject::Refusal;
use super::{Gate, challenge};
use crate::access::Denied;
use crate::body::Flow;
use crate::header::forwarded::Client;
use crate::registry::scope::Scope;
use crate::state::State;

/// What is known of a request once its head was judged.
pub(super) struct Visit<'a> {
    pub(super) gate: &'a Gate,
    pub(super) state: &'a State,
    pub(super) client: &'a Client,
    /// Host and port that were asked for, as the client wrote them.
    pub(super) authority: &'a HeaderValue,
    pub(super) flow: &'a Rc<Flow>,
}

impl Visit<'_> {
    /// Nobody knows who this is; the reason is for the log alone.
    pub(super) fn unauthorized(&self, reason: &'static str) -> Refusal {
        Refusal::Unauthorized { reason, challenge: challenge::challenge(self, None, None) }
    }

    pub(super) fn denied(&self, denied: Denied) -> Refusal {
        match denied {
            Denied::Unknown(scope) => {
                let challenge = challenge::challenge(self, scope.as_ref(), None);
                Refusal::Unauthorized { reason: "no credentials", challenge }
            }
            Denied::TooLittle { needed, missing } => Refusal::Denied(Scope { rights: missing, ..needed }),
            Denied::NoMethod(methods) => Refusal::NoMethod(methods),
            Denied::NoPath => Refusal::NoPath,
        }
    }
}
