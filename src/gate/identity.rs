//! Who sent this? By certificate, by password, by both, or by token.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{HeaderMap, HeaderValue};

use super::hygiene::host_of;
use super::ledger::Ledger;
use super::reject::Refusal;
use super::{Peer, Visit};
use crate::access::{Caller, Identity};
use crate::auth::{Htpasswd, Verdict};
use crate::config::{AuthMode, ClientCertificate, Verify};
use crate::header::credentials::{self, Basic, Credentials};
use crate::network::Network;
use crate::registry::grant::Proof;
use crate::secret::Secret;
use crate::state::State;
use crate::tls::ClientDemand;
use crate::token::{Login, Tokens};

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
    ledger: &mut Ledger,
) -> Result<Caller, Refusal> {
    let state = visit.state;
    let by_name = |identity| Caller { identity, token: None };
    match (credentials::read(headers)?, holder) {
        (_, holder) if state.users.is_none() => Ok(by_name(holder_or_nobody(holder))),
        (Credentials::Bearer(token), _) => match &state.tokens {
            Some(tokens) => bearer(visit, tokens, &token),
            None => Err(visit.unauthorized("malformed credentials")),
        },
        (Credentials::Basic(basic), _) => password(visit, &basic, ledger).await.map(by_name),
        (Credentials::None, holder @ Some(_)) if !is_both(state) => Ok(by_name(holder_or_nobody(holder))),
        (Credentials::None, _) if may_be_anonymous(state) => Ok(by_name(Identity::Anonymous)),
        (Credentials::None, _) => Err(visit.unauthorized("no credentials")),
        (Credentials::Malformed, _) => Err(visit.unauthorized("malformed credentials")),
    }
}

/// Whom a token is for, and what it allows.
fn bearer(visit: &Visit<'_>, tokens: &Tokens, token: &Secret) -> Result<Caller, Refusal> {
    let verified = tokens.verify(token, &visit.service(tokens), SystemTime::now());
    let verified = verified.map_err(|invalid| visit.invalid(invalid))?;
    let identity = match verified.subject.as_str() {
        "" => Identity::Anonymous,
        user => Identity::User(user.into()),
    };
    Ok(Caller { identity, token: Some(verified.scopes.clone()) })
}

/// Who asks for a token.
pub(super) struct Claimant {
    pub(super) identity: Identity,
    /// What an identity token would be given for; only for a password that was right.
    pub(super) login: Option<Login>,
}

/// Who asks for a token: by password, by identity token, by certificate, or nobody. `holder` is the one of the certificate.
pub(super) async fn claimant(
    visit: &Visit<'_>,
    tokens: &Tokens,
    proof: Proof,
    credentials: Credentials,
    holder: Option<Arc<str>>,
    ledger: &mut Ledger,
) -> Result<Claimant, Refusal> {
    let state = visit.state;
    let basic = match (proof, credentials) {
        (Proof::Identity(token), _) => {
            let identity = returning(visit, tokens, &token, ledger)?;
            return Ok(Claimant { identity, login: None });
        }
        (Proof::Password(basic), _) | (Proof::Header, Credentials::Basic(basic)) if !is_nothing(&basic) => {
            basic
        }
        (Proof::Header, Credentials::Malformed | Credentials::Bearer(_)) => {
            return Err(asking_for_password(state, "malformed credentials"));
        }
        _ if is_both(state) => return Err(asking_for_password(state, "no credentials")),
        _ => return Ok(Claimant { identity: holder_or_nobody(holder), login: None }),
    };
    let name = std::str::from_utf8(&basic.user).ok();
    let login = name.zip(state.users.as_ref()).and_then(|(name, users)| Login::of(&users.current(), name));
    match password(visit, &basic, ledger).await {
        Ok(identity) => Ok(Claimant { identity, login }),
        Err(Refusal::Unauthorized { reason, .. }) => Err(asking_for_password(state, reason)),
        Err(other) => Err(other),
    }
}

/// The user whose identity token this is. One that does not count is a failure like a wrong password, but with an account of
/// its own: whoever is told to log in again must not be kept from it.
fn returning(
    visit: &Visit<'_>,
    tokens: &Tokens,
    token: &Secret,
    ledger: &mut Ledger,
) -> Result<Identity, Refusal> {
    let Some(users) = &visit.state.users else { return Ok(Identity::Anonymous) };
    let users = users.current();
    let verified = tokens.verify_login(token, &visit.service(tokens), &users, SystemTime::now());
    verified.map(|user| Identity::User(user.into())).map_err(|ended| {
        let claimed = tokens.claimed_user(token).unwrap_or_default();
        note(claimed.as_bytes(), &users, ledger);
        // No user's name holds a control character.
        let account = format!("\0{claimed}");
        let (throttle, network) = (visit.gate.shared.verifier.throttle(), Network::of(visit.client.address));
        match throttle.charge(network, account.as_bytes(), Instant::now()) {
            Ok(charge) => charge.keep(),
            Err(left) => return Refusal::Throttled(left),
        }
        let reason = ended.reason();
        let told = Some(format!("{reason}; log in again: docker login {}", visit.host()));
        Refusal::Unauthorized { reason, told, challenge: Some(visit.state.challenge.clone()) }
    })
}

/// Whoever looks into a refusal wants to know whose login it was.
fn note(claimed: &[u8], users: &Htpasswd, ledger: &mut Ledger) {
    if users.fingerprint(claimed).is_some() {
        ledger.claimed(claimed);
    }
}

/// At the token endpoint there is nothing but passwords to ask for.
fn asking_for_password(state: &State, reason: &'static str) -> Refusal {
    Refusal::Unauthorized { reason, told: None, challenge: Some(state.challenge.clone()) }
}

/// How some clients say that they have no password.
fn is_nothing(basic: &Basic) -> bool {
    basic.user.is_empty() && basic.password.expose().is_empty()
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
async fn password(visit: &Visit<'_>, basic: &Basic, ledger: &mut Ledger) -> Result<Identity, Refusal> {
    let Some(users) = &visit.state.users else { return Ok(Identity::Anonymous) };
    if is_nothing(basic) && may_be_anonymous(visit.state) {
        return Ok(Identity::Anonymous);
    }
    let Basic { user, password } = basic;
    let users = users.current();
    let refusal = match visit.gate.shared.verifier.verify(&users, visit.client.address, user, password).await
    {
        Verdict::Right => return Ok(Identity::User(user.clone())),
        Verdict::Wrong => visit.unauthorized("wrong user or password"),
        Verdict::Busy => Refusal::Busy,
        Verdict::Throttled(left) => Refusal::Throttled(left),
    };
    note(user, &users, ledger);
    Err(refusal)
}
