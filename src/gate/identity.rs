//! Who sent this? By certificate, by password, by both, or by token.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use http::{HeaderMap, HeaderValue};

use super::head_checks::host_of;
use super::reject::Refusal;
use super::request_log::RequestLog;
use super::{Peer, RequestContext};
use crate::access::{Caller, Identity};
use crate::auth::{Htpasswd, Verdict};
use crate::config::{AuthMode, ClientCertificate, Verify};
use crate::header::credentials::{self, Basic, Credentials};
use crate::network::Network;
use crate::registry::grant::Proof;
use crate::secret::Secret;
use crate::state::State;
use crate::tls::ClientAuth;
use crate::token::{Login, Tokens};

/// The user that the client's certificate names, where one counts; nothing where none is needed and none was shown.
pub(super) fn certificate(
    state: &State,
    peer: &Peer,
    authority: &HeaderValue,
    log: &mut RequestLog,
) -> Result<Option<Arc<str>>, Refusal> {
    let host = authority.to_str().ok().and_then(host_of);
    let covers = |demand: &&ClientAuth| host.is_none_or(|host| demand.covers(host));
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
    log.certificate(shown);
    demand.authorities.user(shown).map(Some).map_err(|unfit| refused(unfit.reason()))
}

fn needs_certificate(state: &State) -> bool {
    state.config.tls.client.verify == Verify::Required || is_both(state)
}

fn is_both(state: &State) -> bool {
    state.config.auth.client_certificate == ClientCertificate::Both
}

/// Who asks. `certificate_user` is the one of the certificate; a password that comes with it has to be right, or `docker login` would
/// take any. A stranger, a wrong password and an unknown user cannot be told apart by the answer.
pub(super) async fn identify(
    context: &RequestContext<'_>,
    certificate_user: Option<Arc<str>>,
    headers: &HeaderMap,
    log: &mut RequestLog,
) -> Result<Caller, Refusal> {
    let state = context.state;
    let by_name = |identity| Caller { identity, token: None };
    match (credentials::read(headers)?, certificate_user) {
        (_, certificate_user) if state.users.is_none() => {
            Ok(by_name(certificate_user_or_anonymous(certificate_user)))
        }
        (Credentials::Bearer(token), _) => match &state.tokens {
            Some(tokens) => bearer(context, tokens, &token),
            None => Err(context.unauthorized("malformed credentials")),
        },
        (Credentials::Basic(basic), _) => password(context, &basic, log).await.map(by_name),
        (Credentials::None, certificate_user @ Some(_)) if !is_both(state) => {
            Ok(by_name(certificate_user_or_anonymous(certificate_user)))
        }
        (Credentials::None, _) if may_be_anonymous(state) => Ok(by_name(Identity::Anonymous)),
        (Credentials::None, _) => Err(context.unauthorized("no credentials")),
        (Credentials::Malformed, _) => Err(context.unauthorized("malformed credentials")),
    }
}

/// Whom a token is for, and what it allows.
fn bearer(context: &RequestContext<'_>, tokens: &Tokens, token: &Secret) -> Result<Caller, Refusal> {
    let verified = tokens.verify(token, &context.service(tokens), SystemTime::now());
    let verified = verified.map_err(|invalid| context.invalid(invalid))?;
    let identity = match verified.subject.as_str() {
        "" => Identity::Anonymous,
        user => Identity::User(user.into()),
    };
    Ok(Caller { identity, token: Some(verified.scopes.clone()) })
}

/// Who asks for a token.
pub(super) struct TokenRequester {
    pub(super) identity: Identity,
    /// What an identity token would be given for; only for a password that was right.
    pub(super) login: Option<Login>,
}

/// Who asks for a token: by password, by identity token, by certificate, or nobody. `certificate_user` is the one of the certificate.
pub(super) async fn token_requester(
    context: &RequestContext<'_>,
    tokens: &Tokens,
    proof: Proof,
    credentials: Credentials,
    certificate_user: Option<Arc<str>>,
    log: &mut RequestLog,
) -> Result<TokenRequester, Refusal> {
    let state = context.state;
    let basic = match (proof, credentials) {
        (Proof::Identity(token), _) => {
            let identity = returning(context, tokens, &token, log)?;
            return Ok(TokenRequester { identity, login: None });
        }
        (Proof::Password(basic), _) | (Proof::Header, Credentials::Basic(basic)) if !is_nothing(&basic) => {
            basic
        }
        (Proof::Header, Credentials::Malformed | Credentials::Bearer(_)) => {
            return Err(asking_for_password(state, "malformed credentials"));
        }
        _ if is_both(state) => return Err(asking_for_password(state, "no credentials")),
        _ => {
            return Ok(TokenRequester {
                identity: certificate_user_or_anonymous(certificate_user),
                login: None,
            });
        }
    };
    let name = std::str::from_utf8(&basic.user).ok();
    let login = name.zip(state.users.as_ref()).and_then(|(name, users)| Login::of(&users.current(), name));
    match password(context, &basic, log).await {
        Ok(identity) => Ok(TokenRequester { identity, login }),
        Err(Refusal::Unauthorized { reason, .. }) => Err(asking_for_password(state, reason)),
        Err(other) => Err(other),
    }
}

/// The user whose identity token this is. One that does not count is a failure like a wrong password, but with an account of
/// its own: whoever is told to log in again must not be kept from it.
fn returning(
    context: &RequestContext<'_>,
    tokens: &Tokens,
    token: &Secret,
    log: &mut RequestLog,
) -> Result<Identity, Refusal> {
    let Some(users) = &context.state.users else { return Ok(Identity::Anonymous) };
    let users = users.current();
    let verified = tokens.verify_login(token, &context.service(tokens), &users, SystemTime::now());
    verified.map(|user| Identity::User(user.into())).map_err(|ended| {
        let claimed = tokens.claimed_user(token).unwrap_or_default();
        note(claimed.as_bytes(), &users, log);
        // No user's name holds a control character.
        let account = format!("\0{claimed}");
        let (throttle, network) =
            (context.gate.shared.verifier.throttle(), Network::of(context.client.address));
        match throttle.charge(network, account.as_bytes(), Instant::now()) {
            Ok(charge) => charge.keep(),
            Err(left) => return Refusal::Throttled(left),
        }
        let reason = ended.reason();
        let client_message = Some(format!("{reason}; log in again: docker login {}", context.host()));
        Refusal::Unauthorized { reason, client_message, challenge: Some(context.state.challenge.clone()) }
    })
}

/// Whoever looks into a refusal wants to know whose login it was.
fn note(claimed: &[u8], users: &Htpasswd, log: &mut RequestLog) {
    if users.fingerprint(claimed).is_some() {
        log.claimed(claimed);
    }
}

/// At the token endpoint there is nothing but passwords to ask for.
fn asking_for_password(state: &State, reason: &'static str) -> Refusal {
    Refusal::Unauthorized { reason, client_message: None, challenge: Some(state.challenge.clone()) }
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

fn certificate_user_or_anonymous(certificate_user: Option<Arc<str>>) -> Identity {
    certificate_user.map_or(Identity::Anonymous, |name| Identity::User(name.as_bytes().to_vec()))
}

/// The user whose password this is. No user and no password is how some clients say that they have none.
async fn password(
    context: &RequestContext<'_>,
    basic: &Basic,
    log: &mut RequestLog,
) -> Result<Identity, Refusal> {
    let Some(users) = &context.state.users else { return Ok(Identity::Anonymous) };
    if is_nothing(basic) && may_be_anonymous(context.state) {
        return Ok(Identity::Anonymous);
    }
    let Basic { user, password } = basic;
    let users = users.current();
    let refusal =
        match context.gate.shared.verifier.verify(&users, context.client.address, user, password).await {
            Verdict::Right => return Ok(Identity::User(user.clone())),
            Verdict::Wrong => context.unauthorized("wrong user or password"),
            Verdict::Busy => Refusal::Busy,
            Verdict::Throttled(left) => Refusal::Throttled(left),
        };
    note(user, &users, log);
    Err(refusal)
}
