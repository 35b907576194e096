//! Recognises tokens of tidegate by their form, without a signature: clients also send them where a
//! password belongs.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::claims::{ACCESS, Claims, IDENTITY};
use crate::secret::Secret;

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Requests to the registry.
    Access,
    /// Getting access tokens.
    Identity,
}

#[derive(Deserialize)]
struct Header {
    typ: String,
}

impl Kind {
    /// The kind of token that `text` is; `None` for anything that `issuer` does not issue. Says
    /// nothing of its validity.
    pub(crate) fn of(text: &Secret, issuer: &str) -> Option<Kind> {
        let text = text.expose();
        // Every JSON object begins so. Nearly all passwords are told apart here.
        if !text.starts_with(b"eyJ") {
            return None;
        }
        let mut parts = text.split(|byte| *byte == b'.');
        let (Some(header), Some(claims), Some(_signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        match decode::<Header>(header)?.typ.as_str() {
            IDENTITY => Some(Kind::Identity),
            // Others issue tokens of this type too.
            ACCESS => decode::<Claims>(claims).filter(|claims| claims.iss == issuer).map(|_| Kind::Access),
            _ => None,
        }
    }
}

fn decode<T: DeserializeOwned>(part: &[u8]) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(header: &str, claims: &str) -> Option<Kind> {
        let [header, claims] = [header, claims].map(|part| URL_SAFE_NO_PAD.encode(part));
        Kind::of(&Secret::new(format!("{header}.{claims}.c2ln").into_bytes()), "tidegate")
    }

    #[test]
    fn tokens_of_ours_are_told_from_passwords_and_from_tokens_of_others() {
        let access = |issuer: &str| {
            format!(
                r#"{{"iss":"{issuer}","sub":"","aud":"r","exp":1,"nbf":1,"iat":1,"jti":"x","access":[]}}"#
            )
        };
        let identity = r#"{"typ":"tidegate-identity+jwt","alg":"ES256"}"#;
        let jwt = r#"{"typ":"JWT","alg":"ES256"}"#;
        assert_eq!(kind(identity, "{}"), Some(Kind::Identity));
        assert_eq!(kind(jwt, &access("tidegate")), Some(Kind::Access));
        assert_eq!(kind(jwt, &access("another")), None);
        assert_eq!(kind(jwt, r#"{"iss":"tidegate"}"#), None);
        assert_eq!(kind(r#"{"alg":"ES256"}"#, &access("tidegate")), None);
        for password in ["", "secret", "eyJ", "eyJ.", "eyJ.a.b", "eyJ0eXAiOiJKV1QifQ.e30.x.y", "a.b.c"] {
            assert_eq!(Kind::of(&Secret::new(password.as_bytes()), "tidegate"), None, "{password}");
        }
    }
}
