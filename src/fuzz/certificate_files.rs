//! A PEM file with certificates or a private key.
//!
//! What messages say of a certificate is printable, and certificates are the same when they are
//! written again.

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
        if let Some(key) = public_key(der) {
            assert_eq!(key, facts.public_key);
        }
    }
}
