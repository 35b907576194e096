//! Who sent this? By certificate, by password, or by both.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue};

use super::hygiene::host_of;
use super::ledger::Ledger;
use super::reject::Refusal;
use super::{Gate, Peer};
use crate::access::Identity;
use crate::auth::Verdict;
use crate::config::{ClientCertificate, Verify};
use crate::header::credentials::{self, Credentials};
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

/// The user in whose name the request goes on. `holder` is the one of the certificate; a password that comes with it has to be
/// right, or `docker login` would take any. A stranger, a wrong password and an unknown user cannot be told apart by the answer.
pub(super) async fn identify(
    gate: &Gate,
    state: &State,
    holder: Option<Arc<str>>,
    headers: &HeaderMap,
) -> Result<Identity, Refusal> {
    let credentials = credentials::read(headers)?;
    let of_certificate = |name: Arc<str>| Identity::User(name.as_bytes().to_vec());
    let Some(users) = &state.users else {
        return Ok(holder.map_or(Identity::Anyone, of_certificate));
    };
    let basic = match (credentials, holder) {
        (Credentials::Basic(basic), _) => basic,
        (Credentials::None, Some(name)) if !is_both(state) => return Ok(of_certificate(name)),
        (Credentials::None, _) => return Err(Refusal::Unauthorized("no credentials")),
        (Credentials::Malformed, _) => return Err(Refusal::Unauthorized("malformed credentials")),
    };
    match gate.shared.verifier.verify(&users.current(), &basic.user, &basic.password).await {
        Verdict::Right => Ok(Identity::User(basic.user)),
        Verdict::Wrong => Err(Refusal::Unauthorized("wrong user or password")),
        Verdict::Busy => Err(Refusal::Busy),
    }
}
