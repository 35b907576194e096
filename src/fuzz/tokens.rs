//! A token: a header and claims that are signed with the key after all, or changes of a token that
//! was issued.
//!
//! Only what the key has signed is a token, and only in the bytes in which it was signed.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use serde_json::Value;

use super::pieces::lines;
use crate::config;
use crate::registry::rights::Rights;
use crate::registry::scope::Scope;
use crate::secret::Secret;
use crate::token::Tokens;
use crate::user::User;

const SERVICE: &str = "registry.example.com";

/// A key, and a token that it has signed.
struct Issued {
    tokens: Tokens,
    token: Vec<u8>,
}

impl Issued {
    fn new() -> Option<Issued> {
        let settings = config::Token {
            service: None,
            issuer: "tidegate".to_owned(),
            key: None,
            certificate: None,
            ttl: Duration::from_hours(24 * 365),
            refresh_ttl: Duration::from_hours(24),
        };
        let tokens = Tokens::build(&settings, None).ok()?;
        let scopes = [Scope::repository("team/app", Rights::ALL)];
        let token =
            tokens.issue(&User::local("alice").ok()?.into(), SERVICE, &scopes, SystemTime::now()).ok()?.token;
        Some(Issued { token: token.expose().to_vec(), tokens })
    }

    fn verifies(&self, token: Vec<u8>) -> bool {
        self.tokens.verify(&Secret::new(token), SERVICE, SystemTime::now()).is_ok()
    }
}

/// Checks one input.
pub(super) fn tokens(bytes: &[u8]) {
    thread_local!(static ISSUED: Issued = Issued::new().expect("the system gives random numbers"));
    ISSUED.with(|issued| {
        assert!(issued.verifies(issued.token.clone()));
        // As it is, and with parts of the issued token in place of `H`, `C` and `S`.
        assert!(!issued.verifies(bytes.to_vec()));
        let mut own = issued.token.split(|byte| *byte == b'.');
        let parts: [&[u8]; 3] = std::array::from_fn(|_| own.next().unwrap_or_default());
        let mut changed = Vec::new();
        for byte in bytes {
            match byte {
                b'H' => changed.extend_from_slice(parts[0]),
                b'C' => changed.extend_from_slice(parts[1]),
                b'S' => changed.extend_from_slice(parts[2]),
                _ => changed.push(*byte),
            }
        }
        if changed == issued.token {
            return;
        }
        let is_signed = changed.starts_with(&[parts[0], b".", parts[1], b"."].concat());
        assert!(is_signed || !issued.verifies(changed.clone()), "{}", changed.escape_ascii());
        // Two lines of JSON with the signature of others, and the claims with their own.
        let [header, claims_text] = lines(bytes);
        let [header, claims] = [header, claims_text].map(|part| URL_SAFE_NO_PAD.encode(part).into_bytes());
        let forged = [&header, parts[1], parts[2]].join(&b'.');
        assert!(forged == issued.token || !issued.verifies(forged));
        if let Ok(claims) = serde_json::from_slice::<Value>(claims_text)
            && let Ok(token) = issued.tokens.sign("JWT", &claims)
            && issued.tokens.verify(&token, SERVICE, SystemTime::now()).is_ok()
        {
            assert_eq!((claims["iss"].as_str(), claims["aud"].as_str()), (Some("tidegate"), Some(SERVICE)));
            assert!(claims["exp"].as_u64() > claims["nbf"].as_u64(), "{claims}");
        }
        for signature in [b"".as_slice(), parts[2]] {
            assert!(!issued.verifies([&header, claims.as_slice(), signature].join(&b'.')));
        }
    });
}
