//! Tokens of tidegate that prove a login, also when they are sent as a password. docker falls back
//! to that, and some users try it.

use std::time::SystemTime;

use http::HeaderValue;
use tokio::time::Instant;

use super::context::RequestContext;
use super::refusal::Refusal;
use crate::auth::{Account, Htpasswd};
use crate::header::credentials::Basic;
use crate::live_file::LiveFile;
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
    pub(super) fn returning(
        &self,
        users: &LiveFile<Htpasswd>,
        token: &Secret,
        challenge: Option<HeaderValue>,
    ) -> Result<User, Refusal> {
        let Some(tokens) = &self.state.tokens else {
            return Err(self.log_in_again(Ended::NotKept.reason(), token.expose(), challenge));
        };
        let (service, now) = (self.service(tokens), SystemTime::now());
        if self.kind_of(token) == Some(Kind::Access) {
            let access = tokens.verify(token, &service, now);
            let reason =
                access.map_or_else(|invalid| invalid.reason(), |_| "an access token does not prove a login");
            return Err(self.log_in_again(reason, token.expose(), challenge));
        }
        let users = users.current()?;
        let verified = tokens.verify_login(token, &service, &users, now);
        self.count_login(Login::Refresh, &verified);
        verified.map_err(|refused| {
            if refused.ended == Ended::Unread {
                return Refusal::Unread;
            }
            if refused.ended == Ended::Revoked {
                self.log.trail().revoked();
            }
            // After a change of the key, everybody's token is one whose user is not known.
            let claimed = refused.user.as_deref().map_or(token.expose(), str::as_bytes);
            self.log_claimed(claimed, &users);
            self.log_in_again(refused.ended.reason(), claimed, challenge)
        })
    }

    /// The user of an identity token that is sent as their password, or as that of `<token>`.
    ///
    /// # Errors
    /// As in [`Self::returning`], or the token is not theirs.
    pub(super) fn returning_with_password(
        &self,
        users: &LiveFile<Htpasswd>,
        basic: &Basic,
        challenge: Option<HeaderValue>,
    ) -> Result<User, Refusal> {
        let user = self.returning(users, &basic.password, challenge.clone())?;
        if basic.user == user.as_bytes() || basic.user == ANY_USER {
            Ok(user)
        } else {
            Err(self.log_in_again("the login is that of another user", &basic.user, challenge))
        }
    }

    /// Refuses a token of ours as the password of a request that is not for a token. Clients whose
    /// identity token is valid follow the challenge and get an access token with it.
    pub(super) fn refuse_as_password(&self, users: &LiveFile<Htpasswd>, basic: &Basic) -> Refusal {
        match self.returning_with_password(users, basic, self.challenge(None)) {
            Err(refusal) => refusal,
            Ok(_) => self.misplaced_login(self.challenge(None)),
        }
    }

    /// An identity token was sent where only an access token or a password counts.
    pub(super) fn misplaced_login(&self, challenge: Option<HeaderValue>) -> Refusal {
        let reason = "an identity token is accepted only by /auth/token";
        Refusal::Unauthorized { reason, client_message: reason.to_owned(), challenge, is_routine: true }
    }

    /// Charges a failed login to the account of `claimed`: a user, or a token that names none.
    fn log_in_again(&self, reason: &'static str, claimed: &[u8], challenge: Option<HeaderValue>) -> Refusal {
        let (network, account) = (Network::of(self.client.address), Account::Login(claimed));
        match self.gate.shared.throttle.charge(network, account, Instant::now()) {
            Ok(charge) => charge.keep(),
            Err(left) => return Refusal::Throttled(left),
        }
        Refusal::Unauthorized { reason, client_message: self.log_in(reason), challenge, is_routine: false }
    }
}
