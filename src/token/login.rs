//! Identity tokens: what `docker login` keeps in place of a password.
//!
//! One ends with the password it was given for, with its user, by being revoked, and when its time is over.

use std::time::SystemTime;

use super::claims::{IDENTITY, IdentityClaims};
use super::issue::{NotIssued, random};
use super::verify::expect_current;
use super::{Invalid, Tokens, milliseconds, seconds};
use crate::auth::Htpasswd;
use crate::secret::Secret;

/// Whom an identity token is given to, at the moment before his password was found right: a password that changes
/// meanwhile ends the token.
#[derive(Clone, Debug)]
pub struct Login {
    user: String,
    fingerprint: [u8; 32],
}

impl Login {
    /// The user of this name, if there is one.
    pub fn of(users: &Htpasswd, user: &str) -> Option<Login> {
        let fingerprint = users.fingerprint(user.as_bytes())?;
        Some(Login { user: user.to_owned(), fingerprint })
    }
}

/// Why an identity token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As a token of any kind.
    Invalid(Invalid),
    /// The password was changed, or the user removed.
    Password,
    /// `tidegate token revoke`
    Revoked,
    /// `token.refresh_ttl = "0s"`, or a key that does not last.
    None,
}

impl Ended {
    /// In words for people. Who was removed and who has a new password cannot be told apart.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Invalid(Invalid::Expired) => "the login has expired",
            Self::Invalid(invalid) => invalid.reason(),
            Self::Password => "the password was changed",
            Self::Revoked => "the login was revoked",
            Self::None => "logins are not kept here",
        }
    }
}

impl From<Invalid> for Ended {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl Tokens {
    /// An identity token for use at `service`; `None` where there are none.
    pub fn issue_login(
        &self,
        login: &Login,
        service: &str,
        now: SystemTime,
    ) -> Result<Option<Secret>, NotIssued> {
        if !self.has_identities() {
            return Ok(None);
        }
        let claims = IdentityClaims {
            iss: self.settings.issuer.clone(),
            sub: login.user.clone(),
            aud: audience(service),
            exp: seconds(now) + self.settings.refresh_ttl.as_secs(),
            iat: seconds(now),
            jti: random()?,
            given: milliseconds(now),
            binding: self.key.bind(&[login.user.as_bytes(), &login.fingerprint]),
        };
        self.sign(IDENTITY, &claims).map(Some)
    }

    /// The user whose login `token` proves at `service`, if he is still among `users` with the password of then.
    pub fn verify_login(
        &self,
        token: &Secret,
        service: &str,
        users: &Htpasswd,
        now: SystemTime,
    ) -> Result<String, Ended> {
        let revoked = self.revoked.as_ref().filter(|_| self.has_identities()).ok_or(Ended::None)?;
        let claims: IdentityClaims = self.open(token, IDENTITY)?;
        if claims.iss != self.settings.issuer {
            return Err(Invalid::Issuer.into());
        }
        if claims.aud != audience(service) {
            return Err(Invalid::Service.into());
        }
        expect_current(claims.iat, claims.exp, now)?;
        let is_bound =
            |login: Login| self.key.is_bound(&claims.binding, &[login.user.as_bytes(), &login.fingerprint]);
        if !Login::of(users, &claims.sub).is_some_and(is_bound) {
            return Err(Ended::Password);
        }
        match revoked.current().ends(&claims.sub, claims.given) {
            true => Err(Ended::Revoked),
            false => Ok(claims.sub),
        }
    }

    /// The user whom an identity token names, whether or not it still counts; `None` where it is not one of ours.
    pub fn claimed_user(&self, token: &Secret) -> Option<String> {
        self.open(token, IDENTITY).ok().map(|claims: IdentityClaims| claims.sub)
    }

    fn has_identities(&self) -> bool {
        self.revoked.is_some() && !self.settings.refresh_ttl.is_zero()
    }
}

fn audience(service: &str) -> String {
    format!("refresh:{service}")
}
