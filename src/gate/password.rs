//! What arrives where a password belongs: a password, a token of ours, or the ID token of an
//! issuer. What it is decides who judges it, and nobody else sees it.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};

use super::context::RequestContext;
use super::proof::Remembered;
use super::refusal::Refusal;
use crate::access::Identity;
use crate::auth::{Account, Htpasswd, Person, RefusedToken, Source, Sources, Verdict};
use crate::header::credentials::Basic;
use crate::log::audit::Authentication;
use crate::metrics::{Grant, Login, LoginResult};
use crate::network::Network;
use crate::secret::Secret;

/// What the log says of a token whose issuer is none of ours.
const UNTRUSTED: &str = "token of an issuer that is not trusted here";

/// What the log says of somebody from elsewhere who has the name of a user of the htpasswd file.
const TAKEN: &str = "the name at the source is that of a user in auth.htpasswd";

/// Who has logged in.
pub(super) struct LoggedIn {
    pub(super) identity: Identity,
    /// Whom an identity token would be for, and how long it would last.
    pub(super) keep: Option<(Person, Option<Duration>)>,
    pub(super) grant: Grant,
    /// The password, if it is remembered.
    pub(super) remembered: Option<Remembered>,
}

impl LoggedIn {
    /// Someone who gets no identity token.
    pub(super) fn once(identity: Identity, grant: Grant) -> Self {
        Self { identity, keep: None, grant, remembered: None }
    }
}

impl RequestContext<'_> {
    /// The user of these credentials. `challenge` is that of a 401. The audit log gets a login if
    /// it `is_login`, or if the password is new.
    pub(super) async fn log_in_with(
        &self,
        sources: &Sources,
        basic: &Basic,
        is_login: bool,
        challenge: Option<HeaderValue>,
    ) -> Result<LoggedIn, Refusal> {
        if self.kind_of(&basic.password).is_some() {
            // Boxed, as the next: both are rare, and their memory would be a part of every request.
            let identity = Box::pin(self.returning_with_password(sources, basic, challenge)).await?;
            return Ok(LoggedIn::once(identity, Grant::Refresh));
        }
        if sources.is_token(&basic.password) {
            return Box::pin(self.id_token(sources, &basic.password, is_login, challenge)).await;
        }
        if basic.is_long() {
            return Err(self.refuse("malformed credentials", challenge));
        }
        let listed = sources.listed()?;
        match self.check_password(sources, &listed, basic, is_login).await {
            Verdict::Right { person, until, .. } => {
                let remembered = until.map(|until| Remembered { person: person.clone(), listed, until });
                let identity = Identity::User(person.user.clone(), person.groups.clone());
                self.log.source(&person.source);
                // Nobody can tell later whether the service would still let them in.
                let keep = (person.source != Source::Http).then_some((person, None));
                Ok(LoggedIn { identity, keep, grant: Grant::Password, remembered })
            }
            Verdict::Wrong(reason) => Err(self.wrong_password(reason, &basic.user, challenge)),
            Verdict::WrongAgain(delay, reason) => Err(Refusal::WrongAgain(delay, reason)),
            Verdict::Unavailable => Err(Refusal::NoSource),
            Verdict::Busy => Err(Refusal::Busy),
            Verdict::Throttled(left) => Err(Refusal::Throttled(left)),
        }
    }

    /// Checks a password. If it is not accepted, the log gets the user that it was sent for.
    async fn check_password(
        &self,
        sources: &Sources,
        listed: &Htpasswd,
        basic: &Basic,
        is_login: bool,
    ) -> Verdict {
        let Basic { user, password } = basic;
        let judge = sources.judge(listed, user);
        let mut verdict =
            self.gate.shared.verifier.verify_with(judge, self.client.address, user, password).await;
        if matches!(&verdict, Verdict::Right { person, .. } if Sources::is_taken(listed, &person.user, &person.source))
        {
            verdict = Verdict::Wrong(TAKEN);
        }
        self.flow.counts().logins[kind(&judge.source())][verdict.result()].add(1);
        match &verdict {
            Verdict::Right { person, is_new, .. } => {
                self.log.trail().authenticated(Authentication::Password);
                if is_login || *is_new {
                    self.log.login(&person.user, &person.source);
                }
            }
            _ => {
                self.log.source(&judge.source());
                self.log_claimed(user, listed);
            }
        }
        verdict
    }

    /// Who sends the password that the connection has proven before.
    pub(super) fn proven(&self, sources: &Sources, headers: &HeaderMap) -> Result<Option<Identity>, Refusal> {
        let proof = self.peer.proof.borrow();
        let Some(proof) = proof.as_ref() else { return Ok(None) };
        let poll = Some(self.peer.polls.get());
        let listed = if proof.looked.get() == poll { sources.known() } else { sources.listed()? };
        proof.looked.set(poll);
        let Some(person) = proof.person(headers, self.client.address, self.state, &listed) else {
            return Ok(None);
        };
        self.gate.shared.verifier.count_hit();
        self.flow.counts().logins[kind(&person.source)][LoginResult::Ok].add(1);
        self.log.trail().authenticated(Authentication::Password);
        self.log.source(&person.source);
        Ok(Some(Identity::User(person.user.clone(), person.groups.clone())))
    }

    /// The job, pod or person that an issuer vouches for.
    pub(super) async fn id_token(
        &self,
        sources: &Sources,
        token: &Secret,
        is_login: bool,
        challenge: Option<HeaderValue>,
    ) -> Result<LoggedIn, Refusal> {
        let verified = sources.issuers.verify(token, SystemTime::now()).await;
        let result = match &verified {
            Ok(_) => LoginResult::Ok,
            Err(RefusedToken::Unavailable { .. }) => LoginResult::Unavailable,
            Err(_) => LoginResult::Wrong,
        };
        self.flow.counts().logins[Login::IdToken][result].add(1);
        let accepted = match verified {
            Ok(accepted) => accepted,
            Err(RefusedToken::Untrusted) => return Err(self.refuse(UNTRUSTED, challenge)),
            Err(RefusedToken::Unavailable { issuer }) => {
                self.log.source(&Source::Issuer(issuer));
                return Err(Refusal::NoSource);
            }
            Err(RefusedToken::Invalid { issuer, reason }) => {
                let (network, account) =
                    (Network::of(self.client.address), Account::Issuer(issuer.as_bytes()));
                let charged = self.gate.shared.throttle.charge_everywhere(network, account).await;
                self.log.source(&Source::Issuer(issuer.clone()));
                charged.map_err(Refusal::Throttled)?.keep();
                return Err(self.refuse(reason, challenge));
            }
        };
        let person = accepted.person;
        self.log.trail().authenticated(Authentication::IdToken);
        self.log.source(&person.source);
        if is_login || accepted.is_new {
            self.log.login(&person.user, &person.source);
        }
        let identity = Identity::User(person.user.clone(), person.groups.clone());
        let keep = (!accepted.login_ttl.is_zero()).then_some((person, Some(accepted.login_ttl)));
        Ok(LoggedIn { identity, keep, grant: Grant::IdToken, remembered: None })
    }
}

/// What a login that this source has judged counts as.
fn kind(source: &Source) -> Login {
    match source {
        Source::Ldap => Login::Ldap,
        Source::Http => Login::Http,
        Source::Htpasswd | Source::Issuer(_) => Login::Password,
    }
}
