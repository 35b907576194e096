//! Identity tokens: what `docker login` keeps in place of a password.
//!
//! An identity token ends when it expires or is revoked, when the user's password changes, and when
//! the user is removed.

use std::time::SystemTime;

use super::claims::{IDENTITY, IdentityClaims};
use super::issue::{NotIssued, random};
use super::shared_revoked::SharedRevoked;
use super::tokens::Tokens;
use super::unix_time::{milliseconds, seconds};
use super::verify::{Invalid, expect_current};
use crate::auth::{Htpasswd, Person};
use crate::live_file::Unread;
use crate::secret::Secret;
use crate::user::User;

/// Why a login is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The token is refused for a reason that any token can have.
    Invalid(Invalid),
    /// The password was changed, or the user removed.
    Password,
    /// `tidegate token revoke` ended it.
    Revoked,
    /// Whether it was revoked is not known, because the list cannot be read now.
    Unread,
    /// This tidegate issues no identity tokens: `token.refresh_ttl = "0s"`, or no key in a file.
    NotKept,
}

impl Ended {
    /// The reason for the client. It does not tell whether the user was removed or has a new
    /// password.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::Invalid(Invalid::Expired) => "the login has expired",
            Self::Invalid(invalid) => invalid.reason(),
            Self::Password => "the password was changed",
            Self::Revoked => "the login was revoked",
            Self::Unread => "whether the login was revoked is not known",
            Self::NotKept => "this registry does not keep logins",
        }
    }
}

impl From<Invalid> for Ended {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Unread> for Ended {
    fn from(_: Unread) -> Self {
        Self::Unread
    }
}

/// A refused identity token.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusedLogin {
    pub ended: Ended,
    /// The user that the token names; `None` if it is not an identity token signed with our key.
    pub user: Option<String>,
}

impl Tokens {
    /// An identity token for a user whose password was right; `None` if this tidegate issues none,
    /// or if the name is not UTF-8.
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
            binding: self.key.load().bind(&[name.as_bytes(), &person.binding]),
        };
        self.sign(IDENTITY, &claims).map(Some)
    }

    /// The user whose login `token` proves at `service`. They must still be among `users`, with the
    /// password that the token was issued for, and no replica may have revoked it.
    pub(crate) fn verify_login(
        &self,
        token: &Secret,
        service: &str,
        users: &Htpasswd,
        replicas: Option<&SharedRevoked>,
        now: SystemTime,
    ) -> Result<User, RefusedLogin> {
        let claims = self.open::<IdentityClaims>(token, IDENTITY).map_err(|invalid| RefusedLogin {
            ended: if self.has_identities() { invalid.into() } else { Ended::NotKept },
            user: None,
        })?;
        self.check_login(&claims, service, users, replicas, now)
            .map_err(|ended| RefusedLogin { ended, user: Some(claims.sub) })
    }

    fn check_login(
        &self,
        claims: &IdentityClaims,
        service: &str,
        users: &Htpasswd,
        replicas: Option<&SharedRevoked>,
        now: SystemTime,
    ) -> Result<User, Ended> {
        let revoked = self.revoked.as_ref().filter(|_| self.has_identities()).ok_or(Ended::NotKept)?;
        if claims.iss != self.settings.issuer {
            return Err(Invalid::Issuer.into());
        }
        if claims.aud != audience(service) {
            return Err(Invalid::Service.into());
        }
        expect_current(claims.iat, claims.exp, now)?;
        let is_bound = |person: &Person| {
            self.key.load().is_bound(&claims.binding, &[person.user.as_bytes(), &person.binding])
        };
        let person = users.person(claims.sub.as_bytes()).filter(is_bound).ok_or(Ended::Password)?;
        if revoked.current()?.ends(&claims.sub, claims.given) {
            return Err(Ended::Revoked);
        }
        if let Some(replicas) = replicas
            && replicas.ends(&claims.sub, claims.given)?
        {
            return Err(Ended::Revoked);
        }
        Ok(person.user)
    }
}

fn audience(service: &str) -> String {
    format!("refresh:{service}")
}
