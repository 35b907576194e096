//! The TLS session of a client's connection, without its socket.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::replace;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus, WriteTraffic};
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::ReadBuf;

use super::outgoing::Outgoing;
use crate::body::backlog::is_short;
use crate::metrics::TlsSession;
use crate::tls::ACME;

/// Bytes of records that are sent at once. Fewer cost more system calls, more cost more memory per
/// transfer.
const BATCH: usize = 384 * 1024;
/// The same while memory is short.
const SHORT_BATCH: usize = 64 * 1024;
/// Bytes of records that are read at once, as long as no more than that have arrived.
pub(super) const FIRST_READ: usize = 4 * 1024;
/// Bytes of records that are read at once when there are many.
const BULK_READ: usize = 128 * 1024;
/// The most plaintext that one record holds (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;
/// The most that a cipher suite adds to a record.
const OVERHEAD: usize = 32;

/// Decrypts what the client sends and encrypts what is sent to it. rustls does the protocol; the
/// buffers are here, so that a session without bytes on their way holds none.
pub(super) struct Session {
    tls: UnbufferedServerConnection,
    /// Records that have arrived and are not decrypted yet.
    incoming: BytesMut,
    /// How many bytes of `incoming` rustls has seen and not consumed. It waits for the rest of a
    /// message.
    seen: usize,
    /// Whether more than [`FIRST_READ`] bytes have arrived at once.
    is_bulk: bool,
    /// Decrypted and not read yet.
    plaintext: BytesMut,
    outgoing: Outgoing,
    /// Whether the client has ended its side.
    has_client_ended: bool,
    /// Whether we have ended ours.
    has_ended: bool,
    /// How the client broke the protocol. From then on rustls is no longer called.
    fault: Option<rustls::Error>,
}

impl Session {
    /// A session that begins with the records in `incoming`.
    pub(super) fn new(config: Arc<ServerConfig>, incoming: BytesMut) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: UnbufferedServerConnection::new(config)?,
            incoming,
            seen: 0,
            is_bulk: false,
            plaintext: BytesMut::new(),
            outgoing: Outgoing::default(),
            has_client_ended: false,
            has_ended: false,
            fault: None,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    pub(super) fn is_http2(&self) -> bool {
        self.tls.alpn_protocol() == Some(b"h2")
    }

    /// What the handshake counts as.
    pub(super) fn kind(&self) -> TlsSession {
        let is_resumed = self.tls.handshake_kind() == Some(HandshakeKind::Resumed);
        match (self.tls.protocol_version(), is_resumed) {
            (Some(ProtocolVersion::TLSv1_2), false) => TlsSession::Tls12Full,
            (Some(ProtocolVersion::TLSv1_2), true) => TlsSession::Tls12Resumed,
            (_, false) => TlsSession::Tls13Full,
            (_, true) => TlsSession::Tls13Resumed,
        }
    }

    pub(super) fn is_challenge(&self) -> bool {
        self.tls.alpn_protocol() == Some(ACME)
    }

    /// The certificates that the client has presented, its own first.
    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.peer_certificates().unwrap_or_default()
    }

    /// Appends records with `read`. Returns how many bytes arrived, 0 at the end of the connection.
    pub(super) fn poll_fill(
        &mut self,
        read: impl FnOnce(&mut BytesMut) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let size = if self.is_bulk { BULK_READ } else { FIRST_READ };
        if self.incoming.len() >= BULK_READ {
            return Poll::Ready(Err(io::Error::new(
                ErrorKind::InvalidData,
                "a TLS message that is too long",
            )));
        }
        self.incoming.reserve(size.saturating_sub(self.incoming.len()));
        let result = read(&mut self.incoming);
        self.is_bulk |= self.incoming.len() >= FIRST_READ;
        if result.is_pending() && self.incoming.len() < FIRST_READ && self.plaintext.is_empty() {
            self.is_bulk &= !self.incoming.is_empty();
            (self.incoming, self.plaintext) = (BytesMut::from(&self.incoming[..]), BytesMut::new());
        }
        result
    }

    /// Reads plaintext into `out`, as much as there is and fits. If there is none, more records
    /// have to arrive first, or the client has ended its side: see [`Session::has_client_ended`].
    ///
    /// # Errors
    /// The client has broken the protocol. The alert for it waits to be sent.
    pub(super) fn read(&mut self, out: &mut ReadBuf<'_>) -> Result<(), rustls::Error> {
        let given = self.plaintext.len().min(out.remaining());
        out.put_slice(&self.plaintext[..given]);
        self.plaintext.advance(given);
        if self.plaintext.is_empty() { self.open(out) } else { Ok(()) }
    }

    /// Whether the client has ended its side.
    pub(super) fn has_client_ended(&self) -> bool {
        self.has_client_ended
    }

    /// Puts back what was read last, to be read again.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        let later = replace(&mut self.plaintext, BytesMut::from(bytes));
        self.plaintext.extend_from_slice(&later);
    }

    /// Encrypts the first of these bytes and returns how many; none while a whole batch waits to be
    /// sent. Short slices are joined, so that a head and a small body, or a frame's header and its
    /// payload, make one record.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.has_ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let batch = if is_short() { SHORT_BATCH } else { BATCH };
        let room = batch.saturating_sub(self.outgoing.len());
        let mut rest = slices.iter().map(|slice| &**slice).skip_while(|slice| slice.is_empty());
        let Some(first) = rest.next().filter(|_| room > 0) else { return Ok(0) };
        let whole = first.len() - first.len() % RECORD;
        if whole > 0 {
            return self.seal(&first[..whole.min(room.next_multiple_of(RECORD))]);
        }
        let Some(second) = rest.next() else { return self.seal(first) };
        let mut record = Vec::with_capacity(RECORD.min(slices.iter().map(|slice| slice.len()).sum()));
        for slice in [first, second].into_iter().chain(rest) {
            record.extend_from_slice(&slice[..slice.len().min(RECORD - record.len())]);
        }
        self.seal(&record)
    }

    /// Ends our side with a close_notify; does nothing when called again.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if replace(&mut self.has_ended, true) {
            return Ok(());
        }
        self.traffic(|traffic, outgoing| outgoing.fill(OVERHEAD, |room| traffic.queue_close_notify(room)))
    }

    /// Sends with `write` until nothing waits.
    pub(super) fn poll_drain(
        &mut self,
        write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        self.outgoing.poll_drain(write)
    }

    /// Decrypts what has arrived until `out` is full. With an empty `out` it decrypts everything,
    /// to be read later.
    fn open(&mut self, out: &mut ReadBuf<'_>) -> Result<(), rustls::Error> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        loop {
            let UnbufferedStatus { discard, state } = self.tls.process_tls_records(&mut self.incoming);
            self.seen = 0;
            let mut waits = false;
            match state {
                Ok(ConnectionState::ReadTraffic(mut records)) => {
                    while let Some(record) = records.next_record() {
                        let content = record?.payload;
                        let (now, later) = content.split_at(content.len().min(out.remaining()));
                        out.put_slice(now);
                        self.plaintext.extend_from_slice(later);
                    }
                    if out.capacity() > 0 && out.remaining() == 0 {
                        self.incoming.advance(discard);
                        return Ok(());
                    }
                }
                Ok(ConnectionState::PeerClosed) => self.has_client_ended = true,
                Ok(ConnectionState::EncodeTlsData(mut message)) => self.outgoing.encode(&mut message)?,
                Ok(ConnectionState::TransmitTlsData(messages)) => messages.done(),
                // More records are needed. Early data is never accepted.
                Ok(_) => waits = true,
                Err(error) => {
                    self.encode_alert();
                    self.fault = Some(error.clone());
                    return Err(error);
                }
            }
            self.incoming.advance(discard);
            if waits {
                self.seen = self.incoming.len();
                return Ok(());
            }
        }
    }

    fn seal(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        let size = plaintext.len() + OVERHEAD * plaintext.len().div_ceil(RECORD);
        self.traffic(|traffic, outgoing| outgoing.fill(size, |room| traffic.encrypt(plaintext, room)))?;
        Ok(plaintext.len())
    }

    /// Calls `act` to write, after rustls has written what it has to send itself.
    fn traffic(
        &mut self,
        act: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Outgoing) -> Result<(), EncryptError>,
    ) -> io::Result<()> {
        if self.fault.is_some() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.seen < self.incoming.len() {
            // rustls writes only when it has nothing to decrypt, and has to see again what it has
            // not consumed.
            self.open(&mut ReadBuf::new(&mut [])).map_err(io::Error::other)?;
        }
        loop {
            match self.tls.process_tls_records(&mut self.incoming).state.map_err(io::Error::other)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    return act(&mut traffic, &mut self.outgoing).map_err(io::Error::other);
                }
                ConnectionState::EncodeTlsData(mut message) => {
                    self.outgoing.encode(&mut message).map_err(io::Error::other)?;
                }
                ConnectionState::TransmitTlsData(messages) => messages.done(),
                _ => return Err(ErrorKind::BrokenPipe.into()),
            }
        }
    }

    /// Encodes the alert of rustls for a client that has broken the protocol.
    fn encode_alert(&mut self) {
        while self.tls.wants_write() {
            let state = self.tls.process_tls_records(&mut self.incoming).state;
            let Ok(ConnectionState::EncodeTlsData(mut alert)) = state else { return };
            if self.outgoing.encode(&mut alert).is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests;
