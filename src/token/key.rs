//! The key that signs tokens (RFC 7518), and how registries identify it.

use std::path::Path;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::BASE32_NOPAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use rustls::SignatureScheme;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use time::OffsetDateTime;

use crate::config::{self, CertificateFiles};
use crate::crypto::provider;
use crate::pki::pair::{self, Certificate};
use crate::pki::pkcs1;
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// Bytes of all certificates together. They are part of every token, which must fit into a header.
const LONGEST_CHAIN: usize = 4096;

/// A key, its only algorithm, and its certificates.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    signing: Signing,
    pub(super) verifying: DecodingKey,
    pub(super) id: String,
    /// The header `x5c`: the certificate and those above it, in base64; empty without a
    /// certificate.
    pub(super) chain: Vec<String>,
    /// Derived from the private key, so the same after a restart and for each form of key file.
    binding: hmac::Key,
    /// The private key in PKCS#8, if no file has it.
    pub(super) fresh: Option<Secret>,
    /// Problems that do not prevent use.
    pub(super) warnings: Vec<Problem>,
}

/// Parsed once, because parsing takes longer than signing.
enum Signing {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl Key {
    /// Reads the key and the certificate that `settings` name; `None` if they name no key.
    pub(super) fn read(settings: &config::Token) -> Result<Option<Key>, Problems> {
        let Some(path) = &settings.key else { return Ok(None) };
        let (key, chain) = match &settings.certificate {
            None => (pair::key(path).map_err(Problems)?, Vec::new()),
            Some(certificate) => {
                let files = CertificateFiles { certificate: certificate.clone(), key: path.clone() };
                let pair = pair::read(&files);
                let (Some(key), Some(chain), true) = (pair.key, pair.chain, pair.problems.is_empty()) else {
                    return Err(Problems(pair.problems));
                };
                (key, chain)
            }
        };
        let mut read = Key::new(&key).ok_or_else(|| {
            let message = "holds a private key of a kind that registries do not support for tokens; use ECDSA \
                           on P-256 or P-384, or RSA: `tidegate token` makes one";
            Problem::at(path, message)
        })?;
        if let Some(certificate) = &settings.certificate {
            let length: usize = chain.iter().map(|certificate| certificate.der.len()).sum();
            if length > LONGEST_CHAIN {
                let message = format!(
                    "holds {length} bytes of certificates, which would make each token too long; keep at most \
                     {LONGEST_CHAIN} bytes, starting with the certificate of the key"
                );
                return Err(Problem::at(certificate, message).into());
            }
            read.warnings = chain.iter().filter_map(|one| outdated(certificate, one)).collect();
        }
        read.chain = chain.iter().map(|certificate| STANDARD.encode(&certificate.der)).collect();
        Ok(Some(read))
    }

    /// A new key on P-256, kept in memory only.
    pub(super) fn fresh() -> Option<Key> {
        let made = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok()?.to_pkcs8v1().ok()?;
        Key::of_memory(&Secret::new(made.as_ref()))
    }

    /// The key that another process has made, in PKCS#8.
    pub(super) fn of_memory(private: &Secret) -> Option<Key> {
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(private.expose().to_vec()));
        let signing = provider().key_provider.load_private_key(der.clone_key()).ok()?;
        let key = Key::new(&pair::Key { der, signing })?;
        Some(Key { fresh: Some(private.clone()), ..key })
    }

    /// `None` if the key is not ECDSA on P-256 or P-384, or RSA.
    fn new(key: &pair::Key) -> Option<Key> {
        let public = key.signing.public_key()?;
        let is_for = |scheme| key.signing.choose_scheme(&[scheme]).is_some();
        let (algorithm, (signing, private)) = if is_for(SignatureScheme::ECDSA_NISTP256_SHA256) {
            (Algorithm::ES256, ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.der)?)
        } else if is_for(SignatureScheme::ECDSA_NISTP384_SHA384) {
            (Algorithm::ES384, ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, &key.der)?)
        } else if is_for(SignatureScheme::RSA_PKCS1_SHA256) {
            (Algorithm::RS256, rsa(&key.der)?)
        } else {
            return None;
        };
        let verifying = match signing {
            Signing::Rsa(_) => DecodingKey::from_rsa_der(&public),
            Signing::Ecdsa(_) => DecodingKey::from_ec_der(&public),
        };
        Some(Key {
            algorithm,
            signing,
            verifying,
            id: id(&public),
            chain: Vec::new(),
            binding: hmac::Key::new(hmac::HMAC_SHA256, digest::digest(&digest::SHA256, &private).as_ref()),
            fresh: None,
            warnings: Vec::new(),
        })
    }

    /// The signature of `message` as in RFC 7518; `None` if the cryptographic library refuses.
    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.signing {
            Signing::Ecdsa(pair) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Signing::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }

    /// Bytes of every signature.
    pub(super) fn signature_length(&self) -> usize {
        match &self.signing {
            Signing::Ecdsa(_) if self.algorithm == Algorithm::ES384 => 96,
            Signing::Ecdsa(_) => 64,
            Signing::Rsa(pair) => pair.public_modulus_len(),
        }
    }

    /// Whether a signature takes milliseconds.
    pub(super) fn is_slow(&self) -> bool {
        matches!(self.signing, Signing::Rsa(_))
    }

    /// A keyed hash of `parts`. Without the private key, it reveals nothing about them.
    pub(super) fn bind(&self, parts: &[&[u8]]) -> String {
        STANDARD.encode(self.bound(parts))
    }

    /// Whether `binding` is the result of [`Key::bind`] for `parts`, compared in constant time.
    pub(super) fn is_bound(&self, binding: &str, parts: &[&[u8]]) -> bool {
        let expected = self.bound(parts);
        STANDARD
            .decode(binding)
            .is_ok_and(|given| constant_time::verify_slices_are_equal(&given, expected.as_ref()).is_ok())
    }

    fn bound(&self, parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.binding);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }
}

/// The signing key, and the private key in PKCS#8: the same bytes for each form of key file.
fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, key: &PrivateKeyDer<'_>) -> Option<(Signing, Vec<u8>)> {
    let pair = EcdsaKeyPair::from_private_key_der(algorithm, key.secret_der()).ok()?;
    let private = pair.to_pkcs8v1().ok()?.as_ref().to_vec();
    Some((Signing::Ecdsa(pair), private))
}

/// The signing key, and the private key in PKCS#1.
fn rsa(key: &PrivateKeyDer<'_>) -> Option<(Signing, Vec<u8>)> {
    let private = pkcs1(key)?;
    Some((Signing::Rsa(RsaKeyPair::from_der(&private).ok()?), private))
}

/// The key ID as libtrust makes it, by which distribution 2.8 finds a key: the first 240 bits of
/// the SHA-256 of the SubjectPublicKeyInfo, as twelve groups of four characters.
fn id(public: &[u8]) -> String {
    let hash = digest::digest(&digest::SHA256, public);
    let text = BASE32_NOPAD.encode(&hash.as_ref()[..30]);
    let groups: Vec<&str> = (0..text.len()).step_by(4).filter_map(|at| text.get(at..at + 4)).collect();
    groups.join(":")
}

fn outdated(path: &Path, certificate: &Certificate) -> Option<Problem> {
    (!certificate.facts.is_current(OffsetDateTime::now_utc())).then(|| {
        let message = format!(
            "the certificate of {} is not valid today; a registry with it in rootcertbundle refuses all tokens, so \
             make a new key and certificate with `tidegate token`",
            certificate.facts.label
        );
        Problem::at(path, message)
    })
}
