//! The key that signs tokens, and its certificate.

use rcgen::{CertificateParams, IsCa, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, RsaKeySize};
use time::{Duration, OffsetDateTime};

use crate::cli::cert::error::CertError;
use crate::cli::cert::issued::{Issued, fill_in};

/// A new key for tokens, and the certificate by which a registry knows it. The certificate is
/// self-signed, and not that of a CA.
pub(super) fn issue(rsa: bool, days: u16) -> Result<Issued, CertError> {
    let key = if rsa {
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072)?
    } else {
        KeyPair::generate()?
    };
    let mut params = CertificateParams::default();
    fill_in(&mut params, OffsetDateTime::now_utc() + Duration::days(days.into()), "tidegate token signer")?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Issued::self_signed(&params, &key)
}
