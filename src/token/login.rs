//! Identity tokens: what `docker login` keeps in place of a password.
//!
//! An identity token ends when it expires or is revoked, when the user's password changes, and when
//! the user is removed. One that was given for the token of an issuer ends with the settings of the
//! issuer instead.

use std::time::{Duration, SystemTime};

use super::claims::{IDENTITY, IdentityClaims};
use super::issue::{NotIssued, random};
use super::shared_revoked::SharedRevoked;
use super::tokens::Tokens;
use super::unix_time::{milliseconds, seconds};
use super::verify::{Invalid, expect_current};
use crate::auth::{Person, Source};
use crate::live_file::Unread;
use crate::secret::Secret;
use crate::user::{Groups, User};

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

/// An identity token that is signed with our key, current, and not revoked.
#[derive(Debug)]
pub(crate) struct Login {
    pub user: User,
    /// The groups at the time of the login, of a user whose issuer cannot be asked again.
    pub groups: Groups,
    binding: String,
}

impl Login {
    /// The login is not bound to the user as they are now.
    pub(crate) fn replaced(&self) -> RefusedLogin {
        RefusedLogin { ended: Ended::Password, user: self.user.as_str().map(str::to_owned) }
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
    /// An identity token for a user who has proven who they are. It lasts for `life`, or for
    /// `token.refresh_ttl` if that is `None`. `None` if this tidegate issues none, or if the name
    /// is not UTF-8.
    pub fn issue_login(
        &self,
        person: &Person,
        life: Option<Duration>,
        service: &str,
        now: SystemTime,
    ) -> Result<Option<Secret>, NotIssued> {
        let life = life.unwrap_or(self.settings.refresh_ttl);
        let Some(name) = person.user.as_str().filter(|_| self.has_identities()) else {
            return Ok(None);
        };
        let claims = IdentityClaims {
            iss: self.settings.issuer.clone(),
            sub: name.to_owned(),
            aud: audience(service),
            exp: seconds(now) + life.as_secs(),
            iat: seconds(now),
            jti: random()?,
            given: milliseconds(now),
            binding: self.key.load().bind(&[name.as_bytes(), &person.binding]),
            groups: match &person.source {
                Source::Issuer(_) => person.groups.iter().map(str::to_owned).collect(),
                _ => Vec::new(),
            },
        };
        self.sign(IDENTITY, &claims).map(Some)
    }

    /// The login that `token` proves at `service`, unless a replica has revoked it. Whether it
    /// still belongs to the user's password is for [`Self::is_bound`] to say.
    pub(crate) fn open_login(
        &self,
        token: &Secret,
        service: &str,
        replicas: Option<&SharedRevoked>,
        now: SystemTime,
    ) -> Result<Login, RefusedLogin> {
        let claims = self.open::<IdentityClaims>(token, IDENTITY).map_err(|invalid| RefusedLogin {
            ended: if self.has_identities() { invalid.into() } else { Ended::NotKept },
            user: None,
        })?;
        self.check_login(&claims, service, replicas, now).map_err(|ended| claims.refused(ended))?;
        let user = User::parse(&claims.sub).map_err(|_| claims.refused(Invalid::Foreign.into()))?;
        let IdentityClaims { groups, binding, .. } = claims;
        Ok(Login { user, groups: groups.into_iter().collect(), binding })
    }

    /// Whether the login is one of `person` as they are now: with the same password, or by the
    /// same settings of an issuer.
    pub(crate) fn is_bound(&self, login: &Login, person: &Person) -> bool {
        self.key.load().is_bound(&login.binding, &[person.user.as_bytes(), &person.binding])
    }

    fn check_login(
        &self,
        claims: &IdentityClaims,
        service: &str,
        replicas: Option<&SharedRevoked>,
        now: SystemTime,
    ) -> Result<(), Ended> {
        let revoked = self.revoked.as_ref().filter(|_| self.has_identities()).ok_or(Ended::NotKept)?;
        if claims.iss != self.settings.issuer {
            return Err(Invalid::Issuer.into());
        }
        if claims.aud != audience(service) {
            return Err(Invalid::Service.into());
        }
        expect_current(claims.iat, claims.exp, now)?;
        if revoked.current()?.ends(&claims.sub, claims.given) {
            return Err(Ended::Revoked);
        }
        if let Some(replicas) = replicas
            && replicas.ends(&claims.sub, claims.given)?
        {
            return Err(Ended::Revoked);
        }
        Ok(())
    }
}

impl IdentityClaims {
    fn refused(&self, ended: Ended) -> RefusedLogin {
        RefusedLogin { ended, user: Some(self.sub.clone()) }
    }
}

fn audience(service: &str) -> String {
    format!("refresh:{service}")
}
