//! An OCSP response in DER for the certificate with the serial number 1234 (hexadecimal).
//!
//! What is stapled names that number and is valid now, and goes to clients as it came.

use time::OffsetDateTime;
use time::macros::datetime;

use crate::pki::Staple;

const SERIAL: [u8; 2] = [0x12, 0x34];
const NOW: OffsetDateTime = datetime!(2026-03-01 12:00 UTC);

/// Checks one input.
pub(super) fn staples(bytes: &[u8]) {
    match Staple::parse(bytes.to_vec(), &SERIAL, NOW) {
        Ok(staple) => {
            assert_eq!(staple.der, bytes);
            assert!(NOW < staple.valid.end, "{:?}", staple.valid);
            assert!(bytes.windows(SERIAL.len()).any(|window| window == SERIAL));
            assert!(!staple.is_valid(staple.valid.end));
        }
        Err(message) => assert!(!message.is_empty() && !message.contains(char::is_control), "{message}"),
    }
}
