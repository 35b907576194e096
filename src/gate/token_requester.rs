//! Who asks for a token: by password, by identity token, by certificate, or anonymously.

use super::context::RequestContext;
use super::decide::{NO_CREDENTIALS, WRONG_PASSWORD};
use super::identity::{is_empty, needs_both};
use super::refusal::Refusal;
use crate::access::Identity;
use crate::auth::{Htpasswd, Person, Verdict};
use crate::header::credentials::{Basic, Credentials};
use crate::live_file::LiveFile;
use crate::metrics::Grant;
use crate::registry::grant::Proof;
use crate::user::User;

/// Who asks for a token.
pub(super) struct TokenRequester {
    pub(super) identity: Identity,
    /// Whom an identity token would be for; only after a right password.
    pub(super) login: Option<Person>,
    /// How they have proven who they are.
    pub(super) grant: Grant,
}

impl TokenRequester {
    fn without_password(identity: Identity, grant: Grant) -> Self {
        Self { identity, login: None, grant }
    }
}

impl RequestContext<'_> {
    /// Who asks for a token. `certificate_user` is the user of the client's certificate. Whether
    /// the request `is_login` is for the audit log alone.
    pub(super) async fn token_requester(
        &self,
        proof: Proof,
        is_login: bool,
        credentials: Credentials,
        certificate_user: Option<User>,
    ) -> Result<TokenRequester, Refusal> {
        // With `auth.mode = "token"` there are always users.
        let Some(users) = &self.state.users else {
            return Ok(TokenRequester::without_password(Identity::Anonymous, Grant::Anonymous));
        };
        match (proof, credentials) {
            (Proof::Identity(token), _) => {
                let user = self.returning(users, &token, self.state.challenge.clone()).await?;
                Ok(TokenRequester::without_password(Identity::User(user), Grant::Refresh))
            }
            (Proof::Password(basic), _) | (Proof::Header, Credentials::Basic(basic)) if !is_empty(&basic) => {
                self.with_password(users, basic, is_login).await
            }
            (Proof::Header, Credentials::Malformed | Credentials::Bearer(_)) => {
                Err(self.ask_for_password("malformed credentials"))
            }
            _ if needs_both(self.state) => Err(self.ask_for_password(NO_CREDENTIALS)),
            _ => {
                let grant = if certificate_user.is_some() { Grant::Certificate } else { Grant::Anonymous };
                Ok(TokenRequester::without_password(certificate_user.into(), grant))
            }
        }
    }

    async fn with_password(
        &self,
        users: &LiveFile<Htpasswd>,
        basic: Basic,
        is_login: bool,
    ) -> Result<TokenRequester, Refusal> {
        if self.kind_of(&basic.password).is_some() {
            let challenge = self.state.challenge.clone();
            let user = self.returning_with_password(users, &basic, challenge).await?;
            return Ok(TokenRequester::without_password(Identity::User(user), Grant::Refresh));
        }
        match self.check_password(users, &basic, is_login).await? {
            Verdict::Right { person, .. } => {
                let identity = Identity::User(person.user.clone());
                Ok(TokenRequester { identity, login: Some(person), grant: Grant::Password })
            }
            Verdict::Wrong => {
                Err(self.challenge_password(WRONG_PASSWORD, self.wrong_password_of(&basic.user)))
            }
            Verdict::WrongAgain(delay) => Err(Refusal::WrongAgain(delay)),
            Verdict::Busy => Err(Refusal::Busy),
            Verdict::Throttled(left) => Err(Refusal::Throttled(left)),
        }
    }

    /// Asks for user and password: the token endpoint accepts no tokens for requests.
    fn ask_for_password(&self, reason: &'static str) -> Refusal {
        self.challenge_password(reason, self.log_in(reason))
    }

    fn challenge_password(&self, reason: &'static str, client_message: String) -> Refusal {
        let challenge = self.state.challenge.clone();
        Refusal::Unauthorized { reason, client_message, challenge, is_routine: reason == NO_CREDENTIALS }
    }
}
