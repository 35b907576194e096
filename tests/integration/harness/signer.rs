//! Tokens made by tests, genuine and forged.

use std::path::Path;

use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

/// The owner of a private key.
pub enum Signer {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Signer {
    /// A stranger with a P-256 key.
    pub fn stranger() -> Signer {
        Signer::Ecdsa(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    /// The owner of a key file in PKCS#8.
    pub fn of(file: &Path) -> Signer {
        let key = PrivatePkcs8KeyDer::from_pem_file(file).unwrap();
        match EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.secret_pkcs8_der()) {
            Ok(pair) => Signer::Ecdsa(pair),
            Err(_) => Signer::Rsa(RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap()),
        }
    }

    pub fn algorithm(&self) -> &'static str {
        match self {
            Signer::Ecdsa(_) => "ES256",
            Signer::Rsa(_) => "RS256",
        }
    }

    /// The public key as SubjectPublicKeyInfo.
    pub fn public(&self) -> Vec<u8> {
        match self {
            Signer::Ecdsa(pair) => {
                let der: PublicKeyX509Der = pair.public_key().as_der().unwrap();
                der.as_ref().to_vec()
            }
            Signer::Rsa(pair) => {
                let der: PublicKeyX509Der = pair.public_key().as_der().unwrap();
                der.as_ref().to_vec()
            }
        }
    }

    /// The public key as a JWK (RFC 7517), for P-256.
    pub fn jwk(&self) -> Value {
        let Signer::Ecdsa(pair) = self else { panic!("only for ECDSA") };
        let point = pair.public_key().as_ref();
        let (x, y) = point[1..].split_at(32);
        json!({"kty": "EC", "crv": "P-256", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)})
    }

    /// Signs a token with this header and these claims.
    pub fn sign(&self, header: &Value, claims: &Value) -> String {
        let message = message(header, claims);
        let signature = match self {
            Signer::Ecdsa(pair) => {
                pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec()
            }
            Signer::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let random = SystemRandom::new();
                pair.sign(&RSA_PKCS1_SHA256, &random, message.as_bytes(), &mut signature).unwrap();
                signature
            }
        };
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// An HS256 token with any bytes as the key.
pub fn sign_with_secret(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = message(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

/// The signed part of a token.
pub fn message(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(claims))
}

/// The header and claims of a token.
pub fn open(token: &str) -> (Value, Value) {
    let part = |text: &str| serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).unwrap()).unwrap();
    let mut parts = token.split('.').map(str::to_owned);
    (part(&parts.next().unwrap()), part(&parts.next().unwrap()))
}

/// The value of a header's `x5c` for the certificates of a PEM file.
pub fn x5c(file: &Path) -> Value {
    let certificates = CertificateDer::pem_file_iter(file).unwrap();
    certificates.map(|certificate| Value::from(STANDARD.encode(certificate.unwrap()))).collect()
}
