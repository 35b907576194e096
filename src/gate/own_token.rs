//! Tokens of tidegate that prove a login, also where a password belongs: docker falls back to that,
//! and some users try it.

use std::time::SystemTime;

use http::HeaderValue;
use tokio::time::Instant;

use super::context::RequestContext;
use super::refusal::Refusal;
use crate::auth::{Account, Htpasswd};
use crate::header::credentials::Basic;
use crate::live_file::LiveFile;
use crate::network::Network;
use crate::secret::Secret;
use crate::token::{Ended, Kind, Tokens};
use crate::user::User;

/// The user name with which docker marks an identity token.
const ANY_USER: &[u8] = b"<token>";

impl RequestContext<'_> {
    /// The kind of token of ours that is sent as a password, if it is one.
    pub(super) fn token_as_password(&self, basic: &Basic) -> Option<Kind> {
        Kind::of(&basic.password, &self.state.config.token.issuer)
    }

    /// The user of an identity token. An invalid one is charged like a wrong password, but to a
    /// separate account: a client that is told to log in again must be able to.
    ///
    /// # Errors
    /// The token is not valid; `challenge` is that of the response.
    pub(super) fn returning(
        &self,
        users: &LiveFile<Htpasswd>,
        token: &Secret,
        challenge: Option<HeaderValue>,
    ) -> Result<User, Refusal> {
        let users = users.current()?;
        let (ended, user) = match &self.state.tokens {
            None => (Ended::NotKept, None),
            Some(tokens) => {
                match tokens.verify_login(token, &self.service(tokens), &users, SystemTime::now()) {
                    Ok(user) => return Ok(user),
                    Err(refused) if refused.ended == Ended::Unread => return Err(Refusal::Unread),
                    Err(refused) => (refused.ended, refused.user),
                }
            }
        };
        let claimed = user.unwrap_or_default();
        self.log_claimed(claimed.as_bytes(), &users);
        Err(self.log_in_again(ended.reason(), claimed.as_bytes(), challenge))
    }

    /// The user of an identity token that is sent as their password, or as that of `<token>`.
    ///
    /// # Errors
    /// The token is not valid, not theirs, or an access token.
    pub(super) fn returning_with_password(
        &self,
        tokens: &Tokens,
        users: &LiveFile<Htpasswd>,
        kind: Kind,
        basic: &Basic,
        challenge: Option<HeaderValue>,
    ) -> Result<User, Refusal> {
        if kind == Kind::Access {
            let token = tokens.verify(&basic.password, &self.service(tokens), SystemTime::now());
            let reason =
                token.map_or_else(|invalid| invalid.reason(), |_| "an access token is not a password");
            return Err(self.log_in_again(reason, b"", challenge));
        }
        let user = self.returning(users, &basic.password, challenge.clone())?;
        if basic.user == user.as_bytes() || basic.user == ANY_USER {
            Ok(user)
        } else {
            Err(self.log_in_again("the login is that of another user", &basic.user, challenge))
        }
    }

    /// Refuses a token of ours as the password of a request that is not for a token. Clients whose
    /// identity token is valid follow the challenge and get an access token with it.
    pub(super) fn refuse_as_password(
        &self,
        users: &LiveFile<Htpasswd>,
        kind: Kind,
        basic: &Basic,
    ) -> Refusal {
        let challenge = self.challenge(None);
        let refused = match &self.state.tokens {
            Some(tokens) => self.returning_with_password(tokens, users, kind, basic, challenge.clone()),
            None => self.returning(users, &basic.password, challenge.clone()),
        };
        match refused {
            Err(refusal) => refusal,
            Ok(_) => Refusal::Unauthorized {
                reason: "an identity token as the password of a request",
                client_message: "an identity token is accepted by /auth/token alone".to_owned(),
                challenge,
            },
        }
    }

    /// Charges a failed login to the account of `claimed`.
    fn log_in_again(&self, reason: &'static str, claimed: &[u8], challenge: Option<HeaderValue>) -> Refusal {
        let (network, account) = (Network::of(self.client.address), Account::Login(claimed));
        match self.gate.shared.throttle.charge(network, account, Instant::now()) {
            Ok(charge) => charge.keep(),
            Err(left) => return Refusal::Throttled(left),
        }
        Refusal::Unauthorized { reason, client_message: self.log_in(reason), challenge }
    }
}
