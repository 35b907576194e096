//! The first message of a client: it decides how the handshake goes on.

use bytes::BytesMut;
use rustls::server::Acceptor;

use crate::tls::{Choice, ServerTls};

/// Listens for a ClientHello (RFC 8446, section 4.1.2) without taking anything away: the session reads it again.
#[derive(Default)]
pub(super) struct Hello {
    acceptor: Acceptor,
    heard: usize,
}

impl Hello {
    /// The choice for a client that has sent `records` so far; none while its hello is not whole. What is no hello at all gets a choice
    /// too, so that the session finds the fault and says so with the right alert.
    pub(super) fn choose(&mut self, records: &BytesMut, tls: &ServerTls) -> Option<Choice> {
        let mut new = &records[self.heard..];
        self.heard = records.len();
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
