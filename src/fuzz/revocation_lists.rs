//! A list of revoked certificates in DER.
//!
//! What webpki reads as revoked is revoked, and nothing else is, in every list that both accept.

use rustls::pki_types::CertificateRevocationListDer;
use webpki::BorrowedCertRevocationList;

use crate::pki::Crl;

/// Checks one input.
pub(super) fn revocation_lists(bytes: &[u8]) {
    let Ok(own) = Crl::read(&CertificateRevocationListDer::from(bytes)) else { return };
    for serial in own.entries.keys() {
        assert!(own.revokes(serial) && serial.first() != Some(&0), "{serial:?}");
    }
    let Ok(other) = BorrowedCertRevocationList::from_der(bytes) else { return };
    let serials: Result<Vec<Vec<u8>>, _> = other
        .into_iter()
        .map(|revoked| revoked.map(|revoked| stripped(revoked.serial_number).to_vec()))
        .collect();
    let Ok(mut serials) = serials else { return };
    serials.sort_unstable();
    serials.dedup();
    assert!(own.entries.keys().eq(&serials), "{:?} and {serials:?}", own.entries.keys());
}

fn stripped(number: &[u8]) -> &[u8] {
    number.iter().position(|byte| *byte != 0).and_then(|first| number.get(first..)).unwrap_or_default()
}
