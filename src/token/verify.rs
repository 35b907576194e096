//! Taking tokens. The algorithm is that of the key and never of the token, and the key is ours, whatever key or certificate the
//! token brings along (RFC 8725 sections 3.1 and 3.10).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use jsonwebtoken::Validation;
use serde::de::DeserializeOwned;

use super::claims::{ACCESS, Access, Claims};
use super::tokens::Tokens;
use super::unix_time::seconds;
use super::verified::Verified;
use crate::header::credentials::MAX_BEARER;
use crate::secret::Secret;
use crate::user::User;

/// Seconds that the clocks of those who share a key may differ.
pub(super) const LEEWAY: u64 = 10;

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// It is none, or not signed with our key, or not one of this kind.
    Foreign,
    /// Its time is over.
    Expired,
    /// Its time has not begun.
    Early,
    /// It was given in another name.
    Issuer,
    /// It is for another registry.
    Service,
}

impl Invalid {
    /// In words for people that fit into a header.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Foreign => "the token is not one of this registry",
            Self::Expired => "the token has expired",
            Self::Early => "the token is not valid yet",
            Self::Issuer => "the token is from another issuer",
            Self::Service => "the token is for another service",
        }
    }
}

impl Tokens {
    /// What `token` allows at `service`. A signature is checked once and remembered; its dates count at each use.
    pub fn verify(&self, token: &Secret, service: &str, now: SystemTime) -> Result<Arc<Verified>, Invalid> {
        if token.expose().len() > MAX_BEARER {
            return Err(Invalid::Foreign);
        }
        let verified = self.verified.get_or_read(token, || self.read(token))?;
        expect_current(verified.begins, verified.expires, now)?;
        if verified.service == service { Ok(verified) } else { Err(Invalid::Service) }
    }

    fn read(&self, token: &Secret) -> Result<Verified, Invalid> {
        let claims: Claims = self.open(token, ACCESS)?;
        if claims.iss != self.settings.issuer {
            return Err(Invalid::Issuer);
        }
        let subject = match claims.sub.as_str() {
            "" => None,
            name => Some(User::parse(name).map_err(|_| Invalid::Foreign)?),
        };
        Ok(Verified {
            subject,
            scopes: claims.access.iter().filter_map(Access::scope).collect(),
            service: claims.aud,
            begins: claims.nbf,
            expires: claims.exp,
        })
    }

    /// The claims of a token of this kind with a right signature. Nothing else is checked: each kind has its own rules, and
    /// they count at each use.
    pub(super) fn open<T: DeserializeOwned>(&self, token: &Secret, kind: &str) -> Result<T, Invalid> {
        if token.expose().len() > MAX_BEARER {
            return Err(Invalid::Foreign);
        }
        let mut validation = Validation::new(self.key.algorithm);
        validation.required_spec_claims = HashSet::new();
        validation.validate_exp = false;
        validation.validate_aud = false;
        let opened = jsonwebtoken::decode(token.expose(), &self.key.verifying, &validation);
        let data = opened.map_err(|_| Invalid::Foreign)?;
        match data.header.typ.as_deref() == Some(kind) && data.header.crit.is_none() {
            true => Ok(data.claims),
            false => Err(Invalid::Foreign),
        }
    }
}

/// Whether now lies between the two, give or take [`LEEWAY`].
pub(super) fn expect_current(begins: u64, expires: u64, now: SystemTime) -> Result<(), Invalid> {
    let now = seconds(now);
    if now >= expires.saturating_add(LEEWAY) {
        Err(Invalid::Expired)
    } else if now.saturating_add(LEEWAY) < begins {
        Err(Invalid::Early)
    } else {
        Ok(())
    }
}
