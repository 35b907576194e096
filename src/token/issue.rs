//! Issues access tokens, and signs tokens of both kinds.

use std::time::SystemTime;

use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use data_encoding::HEXLOWER;
use jsonwebtoken::Header;
use serde::Serialize;

use super::claims::{ACCESS, Access, Claims};
use super::key::Key;
use super::tokens::Tokens;
use super::unix_time::seconds;
use crate::access::{Identity, NotUtf8};
use crate::header::credentials::MAX_BEARER;
use crate::registry::grant::AskedScopes;
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
    /// The user's name is not UTF-8.
    NotUtf8,
}

impl From<NotUtf8> for NotIssued {
    fn from(_: NotUtf8) -> Self {
        Self::NotUtf8
    }
}

impl Tokens {
    /// Whether signing takes milliseconds, as with RSA. Do not sign on a thread that serves
    /// requests then.
    pub fn are_slow(&self) -> bool {
        self.key.load().is_slow()
    }

    /// An access token for `service` that allows `scopes` to `identity`.
    pub fn issue(
        &self,
        identity: &Identity,
        service: &str,
        scopes: &[Scope],
        now: SystemTime,
    ) -> Result<AccessToken, NotIssued> {
        let claims = self.claims(identity, service, scopes, now)?;
        Ok(AccessToken { token: self.sign(ACCESS, &claims)?, expires_in: self.settings.ttl.as_secs() })
    }

    /// Those of the requested scopes that an access token of at most `most` bytes has room for: the
    /// ones requested last, and at least one.
    pub(crate) fn fitting(
        &self,
        identity: &Identity,
        service: &str,
        asked: AskedScopes,
        most: usize,
    ) -> Result<Vec<Scope>, NotIssued> {
        let AskedScopes { scopes, newest } = asked;
        let key = self.key.load();
        let bare = unsigned(&key, ACCESS, &self.claims(identity, service, &[], SystemTime::now())?)?;
        let signature = 1 + key.signature_length().saturating_mul(4).div_ceil(3);
        // Base64 makes four bytes of three.
        let mut room = most.min(MAX_BEARER).saturating_sub(bare.len() + signature) / 4 * 3;
        let mut kept = vec![false; scopes.len()];
        for (count, index) in newest.into_iter().enumerate() {
            let (Some(scope), Some(kept)) = (scopes.get(index), kept.get_mut(index)) else { continue };
            let comma = 1;
            let json = serde_json::to_vec(&Access::from(scope)).map_err(|_| NotIssued::Unsigned)?;
            if count > 0 && json.len() + comma > room {
                break;
            }
            room = room.saturating_sub(json.len() + comma);
            *kept = true;
        }
        Ok(scopes.into_iter().zip(kept).filter_map(|(scope, kept)| kept.then_some(scope)).collect())
    }

    fn claims(
        &self,
        identity: &Identity,
        service: &str,
        scopes: &[Scope],
        now: SystemTime,
    ) -> Result<Claims, NotIssued> {
        let now = seconds(now);
        Ok(Claims {
            iss: self.settings.issuer.clone(),
            sub: identity.subject()?.to_owned(),
            aud: service.to_owned(),
            exp: now + self.settings.ttl.as_secs(),
            nbf: now - DATED_BACK.min(now),
            iat: now - DATED_BACK.min(now),
            jti: random()?,
            access: scopes.iter().map(Access::from).collect(),
            groups: identity.groups().iter().map(str::to_owned).collect(),
        })
    }

    pub(crate) fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<Secret, NotIssued> {
        let key = self.key.load();
        let mut token = unsigned(&key, kind, claims)?;
        let signature = key.sign(token.as_bytes()).ok_or(NotIssued::Unsigned)?;
        token.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        if token.len() > MAX_BEARER {
            return Err(NotIssued::TooLong);
        }
        Ok(Secret::new(token.into_bytes()))
    }
}

fn unsigned(key: &Key, kind: &str, claims: &impl Serialize) -> Result<String, NotIssued> {
    let mut header = Header::new(key.algorithm);
    header.typ = Some(kind.to_owned());
    header.kid = Some(key.id.clone());
    header.x5c = Some(key.chain.clone()).filter(|chain| !chain.is_empty());
    Ok(format!("{}.{}", part(&header)?, part(claims)?))
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
