//! The first message of a client, which decides how the handshake continues.

use bytes::BytesMut;
use rustls::server::Acceptor;

use crate::tls::{Choice, ServerTls};

/// Reads a ClientHello (RFC 8446, section 4.1.2). It consumes nothing: the session reads it again.
#[derive(Default)]
pub(super) struct Hello {
    acceptor: Acceptor,
    /// Bytes of the records that the acceptor has read.
    read: usize,
}

impl Hello {
    /// The choice for a client that has sent `records` so far; `None` while its hello is
    /// incomplete. Anything else than a hello gets a choice too: the session then finds the fault,
    /// and sends the right alert.
    pub(super) fn choose(&mut self, records: &BytesMut, tls: &ServerTls) -> Option<Choice> {
        let mut new = &records[self.read..];
        self.read = records.len();
        while !new.is_empty() {
            if self.acceptor.read_tls(&mut new).is_err() {
                return Some(tls.choose(None));
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => return Some(tls.choose(Some(&accepted.client_hello()))),
                Err(_) => return Some(tls.choose(None)),
            }
        }
        None
    }
}
