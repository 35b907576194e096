//! Issues access tokens, and signs tokens of both kinds.

use std::time::SystemTime;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use jsonwebtoken::Header;
use serde::Serialize;

use super::claims::{ACCESS, Access, Claims};
use super::tokens::Tokens;
use super::unix_time::seconds;
use crate::header::credentials::MAX_BEARER;
use crate::registry::scope::Scope;
use crate::secret::Secret;

/// Seconds by which `nbf` and `iat` are dated back: the clock of the registry may be behind, and
/// zot tolerates no difference.
const DATED_BACK: u64 = 10;

/// An access token, and the lifetime that the client is told.
#[derive(Debug)]
pub struct AccessToken {
    /// ASCII text.
    pub token: Secret,
    /// Seconds from now.
    pub expires_in: u64,
}

/// Why no token was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotIssued {
    /// The token would be longer than [`MAX_BEARER`].
    TooLong,
    /// The cryptographic library refuses.
    Unsigned,
}

impl Tokens {
    /// Whether signing takes milliseconds, as with RSA. Do not sign on a thread that serves
    /// requests then.
    pub fn are_slow(&self) -> bool {
        self.key.is_slow()
    }

    /// An access token for `service` that allows `scopes` to `subject`, which is empty for an
    /// anonymous client.
    pub fn issue(
        &self,
        subject: &str,
        service: &str,
        scopes: &[Scope],
        now: SystemTime,
    ) -> Result<AccessToken, NotIssued> {
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
        Ok(AccessToken { token: self.sign(ACCESS, &claims)?, expires_in })
    }

    pub(super) fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<Secret, NotIssued> {
        let mut header = Header::new(self.key.algorithm);
        header.typ = Some(kind.to_owned());
        header.kid = Some(self.key.id.clone());
        header.x5c = Some(self.key.chain.clone()).filter(|chain| !chain.is_empty());
        let mut token = format!("{}.{}", part(&header)?, part(claims)?);
        let signature = self.key.sign(token.as_bytes()).ok_or(NotIssued::Unsigned)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        if token.len() > MAX_BEARER {
            return Err(NotIssued::TooLong);
        }
        Ok(Secret::new(token.into_bytes()))
    }
}

fn part(content: &impl Serialize) -> Result<String, NotIssued> {
    let json = serde_json::to_vec(content).map_err(|_| NotIssued::Unsigned)?;
    Ok(URL_SAFE_NO_PAD.encode(json))
}

/// 128 random bits in hexadecimal, so that no two tokens are the same.
pub(super) fn random() -> Result<String, NotIssued> {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).map_err(|_| NotIssued::Unsigned)?;
    Ok(HEXLOWER.encode(&bytes))
}
