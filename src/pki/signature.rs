//! The signature of a CA below a certificate or a list.

use rustls::pki_types::SubjectPublicKeyInfoDer;
use webpki::RawPublicKeyEntity;

use crate::crypto::provider;

/// Whether the owner of `public_key`, a SubjectPublicKeyInfo in DER, has signed `content`, by any algorithm that still counts.
pub(super) fn is_signed(content: &[u8], signature: &[u8], public_key: &[u8]) -> bool {
    let info = SubjectPublicKeyInfoDer::from(public_key);
    let Ok(key) = RawPublicKeyEntity::try_from(&info) else { return false };
    let algorithms = provider().signature_verification_algorithms.all;
    algorithms.iter().any(|algorithm| key.verify_signature(*algorithm, content, signature).is_ok())
}
