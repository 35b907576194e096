//! Who asks for a token: by password, by identity token, by certificate, or anonymously.

use std::time::SystemTime;

use tokio::time::Instant;

use super::context::RequestContext;
use super::identity::{is_empty, needs_both};
use super::refusal::Refusal;
use crate::access::Identity;
use crate::auth::{Account, Htpasswd, Person, Verdict};
use crate::header::credentials::{Basic, Credentials};
use crate::live_file::LiveFile;
use crate::network::Network;
use crate::registry::grant::Proof;
use crate::secret::Secret;
use crate::token::{Ended, Tokens};
use crate::user::User;

/// Who asks for a token.
pub(super) struct TokenRequester {
    pub(super) identity: Identity,
    /// Whom an identity token would be for; only after a right password.
    pub(super) login: Option<Person>,
}

impl TokenRequester {
    fn without_password(identity: Identity) -> Self {
        Self { identity, login: None }
    }
}

impl RequestContext<'_> {
    /// Who asks for a token. `certificate_user` is the user of the client's certificate.
    pub(super) async fn token_requester(
        &self,
        tokens: &Tokens,
        proof: Proof,
        credentials: Credentials,
        certificate_user: Option<User>,
    ) -> Result<TokenRequester, Refusal> {
        // With `auth.mode = "token"` there are always users.
        let Some(users) = &self.state.users else {
            return Ok(TokenRequester::without_password(Identity::Anonymous));
        };
        match (proof, credentials) {
            (Proof::Identity(token), _) => {
                self.returning(tokens, users, &token).map(TokenRequester::without_password)
            }
            (Proof::Password(basic), _) | (Proof::Header, Credentials::Basic(basic)) if !is_empty(&basic) => {
                self.with_password(users, basic).await
            }
            (Proof::Header, Credentials::Malformed | Credentials::Bearer(_)) => {
                Err(self.ask_for_password("malformed credentials"))
            }
            _ if needs_both(self.state) => Err(self.ask_for_password("no credentials")),
            _ => Ok(TokenRequester::without_password(certificate_user.into())),
        }
    }

    async fn with_password(
        &self,
        users: &LiveFile<Htpasswd>,
        basic: Basic,
    ) -> Result<TokenRequester, Refusal> {
        match self.check_password(users, &basic).await? {
            Verdict::Right(person) => {
                Ok(TokenRequester { identity: Identity::User(person.user.clone()), login: Some(person) })
            }
            Verdict::Wrong => Err(self.ask_for_password("wrong user or password")),
            Verdict::WrongAgain(delay) => Err(Refusal::WrongAgain(delay)),
            Verdict::Busy => Err(Refusal::Busy),
            Verdict::Throttled(left) => Err(Refusal::Throttled(left)),
        }
    }

    /// The user of an identity token. An invalid one is charged like a wrong password, but to a
    /// separate account: a client that is told to log in again must be able to.
    fn returning(
        &self,
        tokens: &Tokens,
        users: &LiveFile<Htpasswd>,
        token: &Secret,
    ) -> Result<Identity, Refusal> {
        let users = users.current()?;
        let verified = tokens.verify_login(token, &self.service(tokens), &users, SystemTime::now());
        verified.map(Identity::User).map_err(|refused| {
            if refused.ended == Ended::Unread {
                return Refusal::Unread;
            }
            let claimed = refused.user.unwrap_or_default();
            self.log_claimed(claimed.as_bytes(), &users);
            let (network, account) = (Network::of(self.client.address), Account::Login(claimed.as_bytes()));
            match self.gate.shared.throttle.charge(network, account, Instant::now()) {
                Ok(charge) => charge.keep(),
                Err(left) => return Refusal::Throttled(left),
            }
            let reason = refused.ended.reason();
            let message = format!("{reason}; log in again: docker login {}", self.authority.as_str());
            self.challenge_password(reason, Some(message))
        })
    }

    /// Asks for user and password: the token endpoint accepts no tokens for requests.
    fn ask_for_password(&self, reason: &'static str) -> Refusal {
        self.challenge_password(reason, None)
    }

    fn challenge_password(&self, reason: &'static str, client_message: Option<String>) -> Refusal {
        Refusal::Unauthorized { reason, client_message, challenge: self.state.challenge.clone() }
    }
}
