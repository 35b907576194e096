//! What a client sends after the handshake of TLS 1.3: records, sealed with its key or not.
//!
//! An input is a list of records: what comes next, the length of its content, and the content. What
//! comes next is the type of a record in its lower seven bits; with the eighth, what follows is put
//! on the wire as it is.
//!
//! Whatever the records are, the data that is read is the beginning of what was sealed as data. A
//! record that is incomplete is not read in part. After a fault there is an alert, unless the fault
//! is an alert of the client.

use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
use rustls::{ContentType, Error};

use crate::crypto::fixtures::{Forger, after_handshake};
use crate::crypto::records::{ALERT, Content, Opened, alert};
use crate::crypto::{HEADER, OVERHEAD};

/// Checks one input.
pub(super) fn client_records(bytes: &[u8]) {
    let (client, mut records) = after_handshake(TLS13_AES_128_GCM_SHA256);
    let mut forger = Forger::of(client);
    let (mut wire, mut sealed) = (Vec::new(), Vec::new());
    let mut rest = bytes;
    while let &[next, length, ref after @ ..] = rest {
        let (content, later) = after.split_at(after.len().min(usize::from(length)));
        rest = later;
        if next & 0x80 > 0 {
            wire.extend_from_slice(content);
            continue;
        }
        wire.append(&mut forger.seal(ContentType::from(next), content));
        // The last byte that is not zero is the type of a record.
        let inner = [content, &[next]].concat();
        if let Some(end) = inner.iter().rposition(|&byte| byte != 0)
            && inner.get(end) == Some(&23)
        {
            sealed.extend_from_slice(inner.get(..end).unwrap_or_default());
        }
    }
    let (mut read, mut at) = (Vec::new(), 0);
    let fault = loop {
        let arrived = wire.get_mut(at..).expect("no record is longer than what has arrived");
        // The header of a record may be enough to refuse it.
        let length = match *arrived {
            [_, _, _, high, low, ..] => HEADER + usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        };
        if let Some(incomplete) = arrived.get_mut(..length.saturating_sub(1)).filter(|_| length > HEADER) {
            let before = incomplete.to_vec();
            match records.open(incomplete) {
                Ok(opened) => assert_eq!((opened, &*incomplete), (None, &*before)),
                Err(fault) => break fault,
            }
        }
        match records.open(arrived) {
            Ok(None) => return,
            Ok(Some(Opened { length, content })) => {
                match content {
                    Content::Data(place) => {
                        assert!(place.end <= length);
                        read.extend_from_slice(arrived.get(place).expect("the data is in the record"));
                        assert!(sealed.starts_with(&read));
                    }
                    Content::Nothing => {}
                    Content::End => return,
                }
                at += length;
            }
            Err(fault) => break fault,
        }
        // An answer to a key update never fails.
        records.key_update().expect("it is sealed");
    };
    match alert(&fault) {
        Some(alert) => {
            records.seal_alert(alert, &mut [0; ALERT + OVERHEAD]).expect("an alert has room");
        }
        None => assert!(matches!(fault, Error::AlertReceived(_))),
    }
}
