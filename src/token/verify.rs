//! Verifies tokens, always with our key and its algorithm: the algorithm, key and certificate in a
//! token's header are ignored (RFC 8725 sections 3.1 and 3.10).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use jsonwebtoken::Validation;
use serde::de::DeserializeOwned;

use super::claims::{ACCESS, Access, Claims};
use super::key::Key;
use super::tokens::Tokens;
use super::unix_time::seconds;
use super::verified::Verified;
use crate::access::Identity;
use crate::header::credentials::MAX_BEARER;
use crate::secret::Secret;
use crate::user::User;

/// Seconds by which the clocks of tidegates that share a key may differ.
pub(super) const LEEWAY: u64 = 10;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// Not a token of this kind that is signed with our key.
    Foreign,
    /// `exp` has passed.
    Expired,
    /// `nbf` has not come.
    Early,
    /// `iss` is another issuer.
    Issuer,
    /// `aud` is another registry.
    Service,
}

impl Invalid {
    /// The reason for the client, fit for a quoted string in a header.
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
    /// What `token` allows at `service`. The signature is checked once and the result remembered;
    /// the dates are checked at each use.
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
        let identity = match claims.sub.as_str() {
            "" => Identity::Anonymous,
            name => {
                let user = User::parse(name).map_err(|_| Invalid::Foreign)?;
                Identity::User(user, claims.groups.into_iter().collect())
            }
        };
        Ok(Verified {
            identity,
            scopes: claims.access.iter().filter_map(Access::scope).collect(),
            service: claims.aud,
            begins: claims.nbf,
            expires: claims.exp,
        })
    }

    /// The claims of a token of this kind whose signature is right. Issuer, service and dates are
    /// not checked.
    pub(super) fn open<T: DeserializeOwned>(&self, token: &Secret, kind: &str) -> Result<T, Invalid> {
        if token.expose().len() > MAX_BEARER {
            return Err(Invalid::Foreign);
        }
        let key = self.key.load();
        let former = self.former.load();
        let former =
            former.as_deref().filter(|former| Instant::now() < former.until).map(|former| &former.key);
        open(&key, token, kind).or_else(|invalid| former.map_or(Err(invalid), |key| open(key, token, kind)))
    }
}

fn open<T: DeserializeOwned>(key: &Key, token: &Secret, kind: &str) -> Result<T, Invalid> {
    let mut validation = Validation::new(key.algorithm);
    validation.required_spec_claims = HashSet::new();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let data =
        jsonwebtoken::decode(token.expose(), &key.verifying, &validation).map_err(|_| Invalid::Foreign)?;
    if data.header.typ.as_deref() != Some(kind) || data.header.crit.is_some() {
        return Err(Invalid::Foreign);
    }
    Ok(data.claims)
}

/// Refuses a time outside `begins..expires`, with [`LEEWAY`] on both sides.
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
