//! The keys of an issuer: a JSON Web Key Set (RFC 7517, section 5).

use aws_lc_rs::digest::{SHA256, digest};
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use serde::Deserialize;
use serde_json::Value;

use super::flaw::Flaw;
use super::jws::Jws;
use crate::auth::hash::Fingerprint;

/// Bytes of a set.
pub(super) const LONGEST: usize = 256 << 10;
/// Keys of a set.
const MOST: usize = 64;
/// Bits of an RSA key.
const RSA: std::ops::RangeInclusive<usize> = 2048..=8192;
const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// The usable keys of a set: at least one.
pub(super) struct KeySet {
    keys: Vec<PublicKey>,
    fingerprint: Fingerprint,
}

/// A key that signatures are verified with.
struct PublicKey {
    /// `kid`
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// Why a set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadSet {
    #[error("it is not a set of JSON Web Keys: {{\"keys\": [...]}}")]
    Shape,
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    #[error("it has more than {MOST} keys")]
    Many,
    #[error("it has no key that can be used: RSA from 2048 bits, P-256, P-384 or Ed25519, for signatures")]
    Useless,
}

#[derive(Deserialize)]
struct Written {
    keys: Vec<Value>,
}

impl KeySet {
    /// Reads a set, without the keys that cannot be used.
    pub(super) fn parse(text: &[u8]) -> Result<Self, BadSet> {
        if text.len() > LONGEST {
            return Err(BadSet::Long);
        }
        let Written { keys } = serde_json::from_slice(text).map_err(|_| BadSet::Shape)?;
        if keys.len() > MOST {
            return Err(BadSet::Many);
        }
        let keys: Vec<PublicKey> = keys.into_iter().filter_map(PublicKey::read).collect();
        if keys.is_empty() {
            return Err(BadSet::Useless);
        }
        let mut fingerprint = [0; 32];
        fingerprint.copy_from_slice(digest(&SHA256, text).as_ref());
        Ok(Self { keys, fingerprint })
    }

    /// Identifies the text of the set.
    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// How many keys can be used.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Checks the signature with the key that the token names. A token that names none is of the
    /// only key of its kind.
    ///
    /// # Errors
    /// [`Flaw::UnknownKey`] if another set may have the key.
    pub(super) fn verify(&self, jws: &Jws<'_>) -> Result<(), Flaw> {
        let is_named = jws.key_id.is_some();
        let named: Vec<&PublicKey> =
            self.keys.iter().filter(|key| !is_named || key.id == jws.key_id).collect();
        if named.is_empty() {
            return Err(Flaw::UnknownKey);
        }
        let fitting = || named.iter().filter(|key| key.algorithms.contains(&jws.algorithm));
        match fitting().count() {
            0 => Err(Flaw::OtherAlgorithm),
            1 => Ok(()),
            _ if is_named => Ok(()),
            _ => Err(Flaw::UnnamedKey),
        }?;
        if fitting().any(|key| jws.is_signed_with(&key.key)) {
            Ok(())
        } else {
            Err(if is_named { Flaw::Signature } else { Flaw::UnknownKey })
        }
    }
}

impl PublicKey {
    /// `None` for a key that is not for signatures, is symmetric or weak, or is of an unknown kind.
    fn read(written: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(written).ok()?;
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
                && common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
        let algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA_ALGORITHMS,
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256],
                EllipticCurve::P384 => &[Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA]
            }
            _ => return None,
        };
        let own = common.key_algorithm;
        let algorithms: Vec<Algorithm> = algorithms
            .iter()
            .copied()
            .filter(|algorithm| own.is_none_or(|own| own == (*algorithm).into()))
            .collect();
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        let is_usable = is_for_signatures && !algorithms.is_empty() && is_strong(&key, &algorithms);
        is_usable.then_some(Self { id: jwk.common.key_id, algorithms, key })
    }
}

fn is_strong(key: &DecodingKey, algorithms: &[Algorithm]) -> bool {
    match key.kind() {
        DecodingKeyKind::RsaModulusExponent { n, .. } => {
            let zeros = n.iter().take_while(|byte| **byte == 0).count();
            let bits = n.get(zeros).map_or(0, |first| (n.len() - zeros) * 8 - first.leading_zeros() as usize);
            RSA.contains(&bits)
        }
        DecodingKeyKind::SecretOrDer(point) => {
            // The points of elliptic curves are not compressed.
            let length = match algorithms {
                [Algorithm::ES256] => 65,
                [Algorithm::ES384] => 97,
                _ => 32,
            };
            point.len() == length
        }
    }
}
