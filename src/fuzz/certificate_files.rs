//! A PEM file with certificates or a private key.
//!
//! What messages say of a certificate is printable. The key that a handshake is verified with is
//! the one that webpki reads, and certificates are the same when they are written again.

use webpki::EndEntityCert;

use crate::crypto::provider;
use crate::pki::pem::{certificates, encode, private_key};
use crate::pki::{Facts, public_key};

/// Checks one input.
pub(super) fn certificate_files(bytes: &[u8]) {
    if let Ok(key) = private_key(bytes) {
        _ = provider().key_provider.load_private_key(key);
    }
    let Ok(certificates_read) = certificates(bytes) else { return };
    let written: String = certificates_read.iter().map(|der| encode("CERTIFICATE", der)).collect();
    assert_eq!(certificates(written.as_bytes()).ok().as_ref(), Some(&certificates_read));
    for der in &certificates_read {
        let Some(facts) = Facts::read(der) else { continue };
        assert!(!facts.label.contains(char::is_control), "{:?}", facts.label);
        assert!(facts.names().all(|name| !name.contains(char::is_control)));
        assert!(facts.serial.first() != Some(&0), "{:?}", facts.serial);
        if let Ok(other) = EndEntityCert::try_from(der) {
            let key = other.subject_public_key_info();
            assert_eq!(public_key(der), Some(key.as_ref()), "the key that a handshake is verified with");
        }
    }
}
