//! A TLS session as far as rustls moves its bytes: the handshake, and all of TLS 1.2.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus, WriteTraffic};
use tokio::io::ReadBuf;

use super::outgoing::Outgoing;
use crate::crypto::{CONTENT, HEADER};

/// The most that a cipher suite of TLS 1.2 adds to a record.
const OVERHEAD: usize = 32;

/// rustls' unbuffered interface, and what has to be known to drive it.
pub(super) struct Unbuffered {
    tls: UnbufferedServerConnection,
    /// How many bytes of the records rustls has seen and not consumed. It waits for the rest of a
    /// message.
    seen: usize,
    has_greeted: bool,
}

impl Unbuffered {
    pub(super) fn new(config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        Ok(Self { tls: UnbufferedServerConnection::new(config)?, seen: 0, has_greeted: false })
    }

    /// The state of the connection.
    pub(super) fn tls(&self) -> &UnbufferedServerConnection {
        &self.tls
    }

    /// Whether the handshake is over, and everything for it to be sent.
    pub(super) fn has_greeted(&self) -> bool {
        self.has_greeted
    }

    pub(super) fn into_tls(self) -> UnbufferedServerConnection {
        self.tls
    }

    /// Decrypts `incoming` until `out` is full or the handshake is over. With an empty `out` it
    /// decrypts everything. What does not fit goes to `plaintext`. Returns whether the client has
    /// ended its side.
    pub(super) fn open(
        &mut self,
        incoming: &mut BytesMut,
        out: &mut ReadBuf<'_>,
        plaintext: &mut BytesMut,
        outgoing: &mut Outgoing,
    ) -> Result<bool, rustls::Error> {
        let mut has_ended = false;
        loop {
            let (shown, is_whole) = self.window(incoming);
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut incoming[..shown]);
            let mut waits = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut records)) => {
                    while let Some(record) = records.next_record() {
                        let content = record?.payload;
                        let (now, later) = content.split_at(content.len().min(out.remaining()));
                        out.put_slice(now);
                        plaintext.extend_from_slice(later);
                    }
                }
                Ok(ConnectionState::PeerClosed) => has_ended = true,
                Ok(ConnectionState::EncodeTlsData(mut message)) => outgoing.encode(&mut message)?,
                Ok(ConnectionState::TransmitTlsData(messages)) => messages.done(),
                // More records are needed. Early data is never accepted.
                Ok(_) => waits = true,
                Err(error) => {
                    self.encode_alert(incoming, outgoing);
                    return Err(error);
                }
            }
            self.seen = if waits && is_whole { shown } else { self.seen }.saturating_sub(discard);
            incoming.advance(discard);
            let is_full = out.capacity() > 0 && out.remaining() == 0;
            let greets = !self.has_greeted && !self.tls.is_handshaking() && !self.tls.wants_write();
            self.has_greeted |= greets;
            if greets || is_full || waits && shown - discard == incoming.len() {
                return Ok(has_ended);
            }
        }
    }

    /// Encrypts `plaintext`.
    pub(super) fn seal(
        &mut self,
        plaintext: &[u8],
        incoming: &mut BytesMut,
        outgoing: &mut Outgoing,
    ) -> io::Result<()> {
        let size = plaintext.len() + OVERHEAD * plaintext.len().div_ceil(CONTENT);
        self.traffic(incoming, outgoing, |traffic, outgoing| {
            outgoing.fill(size, |room| traffic.encrypt(plaintext, room))
        })
    }

    /// Encrypts a close_notify.
    pub(super) fn end(&mut self, incoming: &mut BytesMut, outgoing: &mut Outgoing) -> io::Result<()> {
        self.traffic(incoming, outgoing, |traffic, outgoing| {
            outgoing.fill(OVERHEAD, |room| traffic.queue_close_notify(room))
        })
    }

    /// Whether rustls has seen all of `incoming`. It writes only then.
    pub(super) fn has_seen(&self, incoming: &BytesMut) -> bool {
        self.seen >= incoming.len()
    }

    /// How much of `incoming` rustls may see, and whether that ends with a record. During the
    /// handshake it is one record more than those with the beginning of a message: what follows the
    /// handshake of TLS 1.3 is not for rustls.
    fn window(&self, incoming: &BytesMut) -> (usize, bool) {
        let whole = match incoming[self.seen..] {
            [_, _, _, high, low, ..] if !self.has_greeted => {
                self.seen + HEADER + usize::from(u16::from_be_bytes([high, low]))
            }
            _ => return (incoming.len(), self.has_greeted),
        };
        (whole.min(incoming.len()), whole <= incoming.len())
    }

    /// Calls `act` to write, after rustls has written what it has to send itself.
    fn traffic(
        &mut self,
        incoming: &mut BytesMut,
        outgoing: &mut Outgoing,
        act: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Outgoing) -> Result<(), EncryptError>,
    ) -> io::Result<()> {
        loop {
            match self.tls.process_tls_records(incoming).state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return act(&mut traffic, outgoing).map_err(io::Error::other);
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    outgoing.encode(&mut message).map_err(io::Error::other)?;
                }
                ConnectionState::TransmitTlsData(messages) => messages.done(),
                _ => return Err(ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Encodes the alert of rustls for a client that has broken the protocol.
    fn encode_alert(&mut self, incoming: &mut BytesMut, outgoing: &mut Outgoing) {
        while self.tls.wants_write() {
            let state = self.tls.process_tls_records(incoming).state;
            let Ok(ConnectionState::EncodeTlsData(mut alert)) = state else { return };
            if outgoing.encode(&mut alert).is_err() {
                return;
            }
        }
    }
}
