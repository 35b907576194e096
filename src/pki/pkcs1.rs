//! RSA keys as PKCS#1 (RFC 8017).

use rustls::pki_types::PrivateKeyDer;
use x509_parser::asn1_rs::Any;

use super::der::{Elements, Malformed};

/// Returns the PKCS#1 form of `key`, an RSA key in PKCS#1 or PKCS#8. `None` if the PKCS#8 envelope
/// is damaged.
pub(crate) fn pkcs1(key: &PrivateKeyDer<'_>) -> Option<Vec<u8>> {
    match key {
        PrivateKeyDer::Pkcs8(envelope) => open(envelope.secret_pkcs8_der()).ok().map(<[u8]>::to_vec),
        key => Some(key.secret_der().to_vec()),
    }
}

/// Unwraps PKCS#8 (RFC 5958 section 2): version, algorithm, then the key in an OCTET STRING.
fn open(envelope: &[u8]) -> Result<&[u8], Malformed> {
    let mut fields = Elements::new(envelope).sequence()?;
    fields.next::<u8>()?;
    fields.next::<Any<'_>>()?;
    fields.next()
}

#[cfg(test)]
mod tests {
    use rcgen::{KeyPair, PKCS_RSA_SHA256};

    use super::*;
    use crate::pki::fixtures::traditional;
    use crate::pki::pem;

    #[test]
    fn both_forms_of_a_key_have_the_same_bytes() {
        let key = KeyPair::generate_for(&PKCS_RSA_SHA256).unwrap();
        let pkcs8 = pem::private_key(key.serialize_pem().as_bytes()).unwrap();
        let bare = pem::private_key(traditional(&key, "RSA PRIVATE KEY").as_bytes()).unwrap();
        assert!(matches!((&pkcs8, &bare), (PrivateKeyDer::Pkcs8(_), PrivateKeyDer::Pkcs1(_))));
        assert_eq!(pkcs1(&pkcs8).unwrap(), bare.secret_der());
        assert_eq!(pkcs1(&bare).unwrap(), bare.secret_der());
    }

    #[test]
    fn a_damaged_envelope_holds_no_key() {
        for bytes in [&b""[..], b"0", &[0x30, 3, 2, 1, 0], &[0x30, 5, 2, 1, 0, 5, 0]] {
            assert_eq!(open(bytes), Err(Malformed), "{bytes:?}");
        }
    }
}
