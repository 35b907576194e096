//! Who sent this? By certificate, by password, or by both.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::hygiene::host_of;
use super::ledger::Ledger;
use super::reject::Refusal;
use super::{Peer, Visit};
use crate::access::{Caller, Identity};
use crate::auth::Verdict;
use crate::config::{AuthMode, ClientCertificate, Verify};
use crate::header::credentials::{self, Credentials};
use crate::secret::Secret;
use crate::state::State;
use crate::tls::ClientDemand;

/// The user that the client's certificate names, where one counts; nothing where none is needed and none was shown.
pub(super) fn certificate(
    state: &State,
    peer: &Peer,
    authority: &HeaderValue,
    ledger: &mut Ledger,
) -> Result<Option<Arc<str>>, Refusal> {
    let host = authority.to_str().ok().and_then(host_of);
    let covers = |demand: &&ClientDemand| host.is_none_or(|host| demand.covers(host));
    let Some(demand) = state.tls.client.as_ref().filter(covers) else {
        return Ok(None);
    };
    if !peer.asked {
        return Err(Refusal::Unasked);
    }
    let refused = |reason| Refusal::Certificate(state.config.tls.client.reject_status, reason);
    let Some(shown) = &peer.shown else {
        return match needs_certificate(state) {
            true => Err(refused("no client certificate")),
            false => Ok(None),
        };
    };
    ledger.certificate(shown);
    demand.authorities.user(shown).map(Some).map_err(|unfit| refused(unfit.reason()))
}

fn needs_certificate(state: &State) -> bool {
    state.config.tls.client.verify == Verify::Required || is_both(state)
}

fn is_both(state: &State) -> bool {
    state.config.auth.client_certificate == ClientCertificate::Both
}

/// Who asks. `holder` is the one of the certificate; a password that comes with it has to be right, or `docker login` would
/// take any. A stranger, a wrong password and an unknown user cannot be told apart by the answer.
pub(super) async fn identify(
    visit: &Visit<'_>,
    holder: Option<Arc<str>>,
    headers: &HeaderMap,
) -> Result<Caller, Refusal> {
    let state = visit.state;
    let by_name = |identity| Caller { identity, token: None };
    match (credentials::read(headers)?, holder) {
        (_, holder) if state.users.is_none() => Ok(by_name(holder_or_nobody(holder))),
        (Credentials::Basic(basic), _) => password(visit, &basic.user, &basic.password).await.map(by_name),
        (Credentials::None, holder @ Some(_)) if !is_both(state) => Ok(by_name(holder_or_nobody(holder))),
        (Credentials::None, _) if may_be_anonymous(state) => Ok(by_name(Identity::Anonymous)),
        (Credentials::None, _) => Err(visit.unauthorized("no credentials")),
        (Credentials::Malformed, _) => Err(visit.unauthorized("malformed credentials")),
    }
}

/// With tokens everybody gets one first, also who stays anonymous: clients decide on one scheme for all their requests. And where
/// a password is needed beside the certificate, nobody is anonymous.
fn may_be_anonymous(state: &State) -> bool {
    state.config.auth.mode == AuthMode::Basic && !is_both(state)
}

fn holder_or_nobody(holder: Option<Arc<str>>) -> Identity {
    holder.map_or(Identity::Anonymous, |name| Identity::User(name.as_bytes().to_vec()))
}

/// The user whose password this is. No user and no password is how some clients say that they have none.
pub(super) async fn password(visit: &Visit<'_>, user: &[u8], password: &Secret) -> Result<Identity, Refusal> {
    let Some(users) = &visit.state.users else { return Ok(Identity::Anonymous) };
    if user.is_empty() && password.expose().is_empty() && may_be_anonymous(visit.state) {
        return Ok(Identity::Anonymous);
    }
    let verifier = &visit.gate.shared.verifier;
    match verifier.verify(&users.current(), visit.client.address, user, password).await {
        Verdict::Right => Ok(Identity::User(user.to_vec())),
        Verdict::Wrong => Err(visit.unauthorized("wrong user or password")),
        Verdict::Busy => Err(Refusal::Busy),
        Verdict::Throttled(left) => Err(Refusal::Throttled(left)),
    }
}
