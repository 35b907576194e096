//! The certificates that a client sends in its handshake: DER, one after the other, its own first.
//!
//! Whom they let in has the name that a CA of `tls.client.ca` signed for a client, in a certificate
//! that is valid and not revoked. What is logged of any of them is printable.

use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, FromDer};

use super::door::Door;
use crate::tls::PresentedCertificate;

/// Chains that let in, and whom.
const KNOWN: [(&[u8], &str); 2] = [
    (include_bytes!("../../fuzz/corpus/client_chains/alice"), "alice"),
    (include_bytes!("../../fuzz/corpus/client_chains/dave"), "dave"),
];

/// Checks one input.
pub(super) fn client_chains(bytes: &[u8]) {
    thread_local!(static DOOR: Door = Door::open().expect("the system gives a socket and files"));
    let state = DOOR.with(Door::state);
    let client = state.tls.client.as_ref().expect("client certificates are on");
    let Some(shown) = PresentedCertificate::new(&chain(bytes)) else { return };
    assert!(!shown.label().contains(char::is_control), "{:?}", shown.label());
    if let Ok(user) = client.authorities.user(&shown) {
        let known = KNOWN.iter().find(|(known, _)| signed(known) == signed(bytes));
        assert_eq!(known.map(|(_, name)| *name), Some(user.to_string().as_str()));
    } else {
        assert!(KNOWN.iter().all(|(known, _)| bytes != *known), "a user is refused");
    }
}

/// Takes what is no element for one that is damaged.
fn chain(mut bytes: &[u8]) -> Vec<CertificateDer<'static>> {
    let mut chain = Vec::new();
    while !bytes.is_empty() {
        let rest = Any::from_der(bytes).map_or(&[][..], |(rest, _)| rest);
        let (one, _) = bytes.split_at(bytes.len() - rest.len());
        chain.push(CertificateDer::from(one.to_vec()));
        bytes = rest;
    }
    chain
}

/// What the signature of the first certificate is about.
fn signed(chain: &[u8]) -> Option<&[u8]> {
    let (_, certificate) = Any::from_der(chain).ok()?;
    let (rest, _) = Any::from_der(certificate.data).ok()?;
    certificate.data.get(..certificate.data.len() - rest.len())
}
