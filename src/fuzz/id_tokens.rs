//! What arrives in place of a password, where tokens of issuers are accepted too.
//!
//! A token has three parts in base64, and its payload names an issuer. Nothing else is one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::auth::issuer::Issuers;
use crate::secret::Secret;

/// Checks one input: as it is, and as the payload of a token.
pub(super) fn id_tokens(bytes: &[u8]) {
    if Issuers::is_token(&Secret::new(bytes)) {
        assert_eq!(bytes.iter().filter(|byte| **byte == b'.').count(), 2);
    }
    let payload = URL_SAFE_NO_PAD.encode(bytes);
    let token = format!("{}.{payload}.c2ln", URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#));
    let claims = serde_json::from_slice::<Value>(bytes).ok();
    let names_issuer = claims.as_ref().and_then(|claims| claims.get("iss")).is_some();
    if Issuers::is_token(&Secret::new(token.as_bytes())) {
        assert!(names_issuer);
    }
}
