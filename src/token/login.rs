//! Identity tokens: what `docker login` keeps in place of a password.
//!
//! One ends with the password it was given for, with its user, by being revoked, and when its time is over.

use std::time::SystemTime;

use super::claims::{IDENTITY, IdentityClaims};
use super::issue::{NotIssued, random};
use super::tokens::Tokens;
use super::unix_time::{milliseconds, seconds};
use super::verify::{Invalid, expect_current};
use crate::auth::{Htpasswd, Person};
use crate::secret::Secret;
use crate::user::User;

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
    /// An identity token for use at `service`, by one whose password was found right; `None` where there are none,
    /// and for a name that is not UTF-8.
    pub fn issue_login(
        &self,
        person: &Person,
        service: &str,
        now: SystemTime,
    ) -> Result<Option<Secret>, NotIssued> {
        let Some(name) = person.user.as_str().filter(|_| self.has_identities()) else {
            return Ok(None);
        };
        let claims = IdentityClaims {
            iss: self.settings.issuer.clone(),
            sub: name.to_owned(),
            aud: audience(service),
            exp: seconds(now) + self.settings.refresh_ttl.as_secs(),
            iat: seconds(now),
            jti: random()?,
            given: milliseconds(now),
            binding: self.key.bind(&[name.as_bytes(), &person.fingerprint]),
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
    ) -> Result<User, Ended> {
        let revoked = self.revoked.as_ref().filter(|_| self.has_identities()).ok_or(Ended::None)?;
        let claims: IdentityClaims = self.open(token, IDENTITY)?;
        if claims.iss != self.settings.issuer {
            return Err(Invalid::Issuer.into());
        }
        if claims.aud != audience(service) {
            return Err(Invalid::Service.into());
        }
        expect_current(claims.iat, claims.exp, now)?;
        let is_bound = |person: &Person| {
            self.key.is_bound(&claims.binding, &[person.user.as_bytes(), &person.fingerprint])
        };
        let person = users.person(claims.sub.as_bytes()).filter(is_bound).ok_or(Ended::Password)?;
        if revoked.current().ends(&claims.sub, claims.given) {
            return Err(Ended::Revoked);
        }
        Ok(person.user)
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
