//! Verifying the signature of a certificate or a revocation list.

use rustls::pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;

use crate::crypto::provider;

/// Returns whether `signature` is a signature of `content` by `public_key`, a SubjectPublicKeyInfo
/// in DER, with any algorithm that the provider supports.
pub(super) fn is_signed(content: &[u8], signature: &[u8], public_key: &[u8]) -> bool {
    let info = SubjectPublicKeyInfoDer::from(public_key);
    let Ok(key) = RawPublicKeyEntity::try_from(&info) else { return false };
    let algorithms = provider().signature_verification_algorithms.all;
    algorithms.iter().any(|algorithm| key.verify_signature(*algorithm, content, signature).is_ok())
}
