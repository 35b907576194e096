//! Tokens of tidegate that prove a login, also when they are sent as a password. docker falls back
//! to that, and some users try it.

use std::time::SystemTime;

use http::HeaderValue;

use super::context::RequestContext;
use super::refusal::Refusal;
use crate::access::Identity;
use crate::auth::{Account, Sources, Unavailable};
use crate::header::credentials::Basic;
use crate::log::audit::Authentication;
use crate::metrics::Login;
use crate::network::Network;
use crate::secret::Secret;
use crate::token::{Ended, Kind};
use crate::user::User;

/// The user name with which docker marks an identity token.
const ANY_USER: &[u8] = b"<token>";

impl RequestContext<'_> {
    /// The kind of our tokens that this is by its form.
    pub(super) fn kind_of(&self, token: &Secret) -> Option<Kind> {
        Kind::of(token, &self.state.config.token.issuer)
    }

    /// The user of an identity token. An invalid one is charged like a wrong password, but to a
    /// separate account: the client is told to log in again, and must be able to.
    ///
    /// # Errors
    /// The token is not valid, or is an access token; `challenge` is that of the response.
    pub(super) async fn returning(
        &self,
        sources: &Sources,
        token: &Secret,
        challenge: Option<HeaderValue>,
    ) -> Result<Identity, Refusal> {
        let Some(tokens) = &self.state.tokens else {
            let account = Account::Token(token.expose());
            return Err(self.log_in_again(Ended::NotKept.reason(), account, challenge).await);
        };
        let (service, now) = (self.service(tokens), SystemTime::now());
        if self.kind_of(token) == Some(Kind::Access) {
            let access = tokens.verify(token, &service, now);
            let reason =
                access.map_or_else(|invalid| invalid.reason(), |_| "an access token does not prove a login");
            return Err(self.log_in_again(reason, Account::Token(token.expose()), challenge).await);
        }
        let listed = sources.listed()?;
        let replicas = self.gate.shared.revocations.as_ref();
        let verified = match tokens.open_login(token, &service, replicas, now) {
            Ok(login) => {
                let person = sources.person(&listed, &login.user, &login.groups).await;
                let person = person.map_err(|Unavailable| Refusal::NoSource)?;
                person.filter(|person| tokens.is_bound(&login, person)).ok_or_else(|| login.replaced())
            }
            Err(refused) => Err(refused),
        };
        self.count_login(Login::Refresh, &verified);
        let refused = match verified {
            Ok(person) => {
                self.log.vouched("token");
                self.log.trail().authenticated(Authentication::Token);
                return Ok(Identity::User(person.user, person.groups));
            }
            Err(refused) if refused.ended == Ended::Unread => return Err(Refusal::Unread),
            Err(refused) => refused,
        };
        if refused.ended == Ended::Revoked {
            self.log.trail().revoked();
        }
        // After a change of the key, everybody's token is one whose user is not known.
        let account = match &refused.user {
            Some(user) => Account::Login(user.as_bytes()),
            None => Account::Token(token.expose()),
        };
        self.log_claimed(account.claimed(), &listed);
        Err(self.log_in_again(refused.ended.reason(), account, challenge).await)
    }

    /// The user of an identity token that is sent as their password, or as that of `<token>`. Some
    /// clients keep passwords only: for them it is a key that expires and can be revoked.
    ///
    /// # Errors
    /// As in [`Self::returning`], or the token is not theirs.
    pub(super) async fn returning_with_password(
        &self,
        sources: &Sources,
        basic: &Basic,
        challenge: Option<HeaderValue>,
    ) -> Result<Identity, Refusal> {
        let identity = self.returning(sources, &basic.password, challenge.clone()).await?;
        let owns = |user: &User| {
            // A name with a colon cannot be sent with a password.
            basic.user == user.as_bytes() || basic.user == ANY_USER || user.issuer().is_some()
        };
        if identity.user().is_some_and(owns) {
            Ok(identity)
        } else {
            let account = Account::Login(&basic.user);
            Err(self.log_in_again("the login is that of another user", account, challenge).await)
        }
    }

    /// An identity token was sent where only an access token or a password counts.
    pub(super) fn misplaced_login(&self, challenge: Option<HeaderValue>) -> Refusal {
        let reason = "an identity token is accepted only by /auth/token";
        Refusal::Unauthorized {
            reason: reason.into(),
            client_message: reason.to_owned(),
            challenge,
            is_routine: true,
        }
    }

    /// Charges a failed login to `account`.
    async fn log_in_again(
        &self,
        reason: &'static str,
        account: Account<'_>,
        challenge: Option<HeaderValue>,
    ) -> Refusal {
        let network = Network::of(self.client.address);
        match self.gate.shared.throttle.charge_everywhere(network, account).await {
            Ok(charge) => charge.keep(),
            Err(left) => return Refusal::Throttled(left),
        }
        self.refuse(reason, challenge)
    }
}
