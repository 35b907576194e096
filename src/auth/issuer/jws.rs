//! A JSON Web Signature in its compact form (RFC 7515, section 3.1), before it is verified.

use std::str::FromStr;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use jsonwebtoken::{Algorithm, DecodingKey, crypto};
use serde_json::{Map, Value};

use super::flaw::Flaw;

/// What an issuer may sign with.
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// For the question whose token a text is. Whoever damages a token shall not turn it into a
/// password that is sent on.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A token whose parts can be read. Its algorithm is one that issuers may use.
pub(super) struct Jws<'t> {
    pub(super) algorithm: Algorithm,
    /// `kid`
    pub(super) key_id: Option<String>,
    pub(super) claims: Map<String, Value>,
    signed: &'t str,
    signature: &'t str,
}

impl<'t> Jws<'t> {
    pub(super) fn parse(token: &'t [u8]) -> Result<Self, Flaw> {
        let token = str::from_utf8(token).map_err(|_| Flaw::Malformed)?;
        let (signed, signature) = token.rsplit_once('.').ok_or(Flaw::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(Flaw::Malformed)?;
        let object = |part: &str| {
            let decoded = URL_SAFE_NO_PAD.decode(part).ok()?;
            serde_json::from_slice::<Map<String, Value>>(&decoded).ok()
        };
        let (Some(header), Some(claims), Ok(_)) =
            (object(header), object(payload), URL_SAFE_NO_PAD.decode(signature))
        else {
            return Err(Flaw::Malformed);
        };
        let name = header.get("alg").and_then(Value::as_str).ok_or(Flaw::Algorithm)?;
        let algorithm = Algorithm::from_str(name).map_err(|_| Flaw::Algorithm)?;
        if !ALGORITHMS.contains(&algorithm) {
            return Err(Flaw::Algorithm);
        }
        // Nothing that could be critical is understood here (RFC 7515, section 4.1.11).
        if header.contains_key("crit") {
            return Err(Flaw::Critical);
        }
        let key_id = match header.get("kid") {
            None => None,
            Some(Value::String(id)) => Some(id.clone()),
            Some(_) => return Err(Flaw::Malformed),
        };
        Ok(Self { algorithm, key_id, claims, signed, signature })
    }

    pub(super) fn is_signed_with(&self, key: &DecodingKey) -> bool {
        crypto::verify(self.signature, self.signed.as_bytes(), key, self.algorithm).unwrap_or(false)
    }
}

/// The claim `iss` of what looks like a token, whatever it is. Nothing else is known about it.
pub(super) fn claimed_issuer(text: &[u8]) -> Option<Value> {
    let mut parts = text.trim_ascii().split(|byte| *byte == b'.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let payload = LENIENT.decode(payload).ok()?;
    serde_json::from_slice::<Map<String, Value>>(&payload).ok()?.remove("iss")
}
