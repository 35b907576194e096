//! Giving access tokens.

use std::time::SystemTime;

use aws_lc_rs::rand;
use data_encoding::HEXLOWER;
use jsonwebtoken::Header;
use serde::Serialize;

use super::claims::{ACCESS, Access, Claims};
use super::{MAX_BEARER, Tokens, seconds};
use crate::registry::scope::Scope;
use crate::secret::Secret;

/// A token counts from so many seconds before it was given: the clock of the registry may be behind, and zot allows for
/// nothing.
const DATED_BACK: u64 = 10;

/// A token, and what a client is told of it.
#[derive(Debug)]
pub struct Issued {
    /// The token itself, text.
    pub token: Secret,
    /// Seconds that it counts.
    pub expires_in: u64,
}

/// Why no token was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotIssued {
    /// It would be longer than [`MAX_BEARER`].
    TooLong,
    /// The cryptographic library refuses.
    Unsigned,
}

impl Tokens {
    /// An access token for `subject`, nobody when that is empty, at `service`, that allows `scopes`.
    pub fn issue(
        &self,
        subject: &str,
        service: &str,
        scopes: &[Scope],
        now: SystemTime,
    ) -> Result<Issued, NotIssued> {
        let expires_in = self.settings.ttl.as_secs();
        let now = seconds(now);
        let claims = Claims {
            iss: self.settings.issuer.clone(),
            sub: subject.to_owned(),
            aud: service.to_owned(),
            exp: now + expires_in,
            nbf: now - DATED_BACK.min(now),
            iat: now - DATED_BACK.min(now),
            jti: random()?,
            access: scopes.iter().map(Access::from).collect(),
        };
        Ok(Issued { token: self.sign(ACCESS, &claims)?, expires_in })
    }

    pub(super) fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<Secret, NotIssued> {
        let mut header = Header::new(self.key.algorithm);
        header.typ = Some(kind.to_owned());
        header.kid = Some(self.key.id.clone());
        header.x5c = Some(self.key.chain.clone()).filter(|chain| !chain.is_empty());
        let token = jsonwebtoken::encode(&header, claims, &self.key.signing);
        match token.map_err(|_| NotIssued::Unsigned)? {
            token if token.len() > MAX_BEARER => Err(NotIssued::TooLong),
            token => Ok(Secret::new(token.into_bytes())),
        }
    }
}

/// 128 random bits, so that no two tokens are alike.
pub(super) fn random() -> Result<String, NotIssued> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| NotIssued::Unsigned)?;
    Ok(HEXLOWER.encode(&bytes))
}
