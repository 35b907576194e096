//! The TLS session of a client's connection, without its socket.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::replace;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{ConnectionState, EncryptError, UnbufferedStatus, WriteTraffic};
use tokio::io::ReadBuf;

use super::outgoing::Outgoing;
use crate::tls::ACME;

/// Bytes of records that go to the kernel at once. Fewer cost more system calls, more cost memory for each transfer.
const BATCH: usize = 384 * 1024;
/// Bytes of records that are taken from the kernel at once; the first time, and when more than that were there.
pub(super) const FIRST: usize = 4 * 1024;
const AHEAD: usize = 128 * 1024;
/// The most plaintext one record holds (RFC 8446, section 5.1), and what any cipher suite adds to it.
const RECORD: usize = 16 * 1024;
const OVERHEAD: usize = 32;

/// Opens what the client sends and seals what is sent to it. The protocol is rustls'; the bytes on their way are
/// here, so that a session with nothing on its way holds no buffer.
pub(super) struct Session {
    tls: UnbufferedServerConnection,
    /// Records that came and are not opened yet.
    incoming: BytesMut,
    /// So many bytes at the front of `incoming` rustls has seen, but not used up: it waits for the rest of a message.
    seen: usize,
    /// More than [`FIRST`] bytes came at once.
    is_bulk: bool,
    /// Opened and not asked for yet.
    plaintext: BytesMut,
    outgoing: Outgoing,
    /// The client sends no more.
    has_ended: bool,
    /// Neither do we.
    is_over: bool,
    /// How the client broke the protocol; rustls is not to be asked any more.
    fault: Option<rustls::Error>,
}

impl Session {
    /// A session that begins with `incoming`, the records that came already.
    pub(super) fn new(config: Arc<ServerConfig>, incoming: BytesMut) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: UnbufferedServerConnection::new(config)?,
            incoming,
            seen: 0,
            is_bulk: false,
            plaintext: BytesMut::new(),
            outgoing: Outgoing::default(),
            has_ended: false,
            is_over: false,
            fault: None,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    pub(super) fn is_http2(&self) -> bool {
        self.tls.alpn_protocol() == Some(b"h2")
    }

    pub(super) fn is_challenge(&self) -> bool {
        self.tls.alpn_protocol() == Some(ACME)
    }

    /// What the client has shown, its own certificate first.
    pub(super) fn certificates(&self) -> &[CertificateDer<'static>] {
        self.tls.peer_certificates().unwrap_or_default()
    }

    /// Has `read` add records that the client sent; tells how many bytes, 0 at the end of the connection.
    pub(super) fn poll_fill(
        &mut self,
        read: impl FnOnce(&mut BytesMut) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let size = if self.is_bulk { AHEAD } else { FIRST };
        if self.incoming.len() >= AHEAD {
            return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, "a TLS message too long")));
        }
        self.incoming.reserve(size.saturating_sub(self.incoming.len()));
        let result = read(&mut self.incoming);
        self.is_bulk |= self.incoming.len() >= FIRST;
        if result.is_pending() && self.incoming.len() < FIRST && self.plaintext.is_empty() {
            self.is_bulk &= !self.incoming.is_empty();
            (self.incoming, self.plaintext) = (BytesMut::from(&self.incoming[..]), BytesMut::new());
        }
        result
    }

    /// Gives plaintext, as much as there is and fits. None at all means that more records have to come first, or
    /// that the client has ended its side: see [`Session::has_ended`].
    ///
    /// # Errors
    /// The client breaks the protocol. The alert that tells it so waits to be sent.
    pub(super) fn read(&mut self, out: &mut ReadBuf<'_>) -> Result<(), rustls::Error> {
        let given = self.plaintext.len().min(out.remaining());
        out.put_slice(&self.plaintext[..given]);
        self.plaintext.advance(given);
        if self.plaintext.is_empty() { self.open(out) } else { Ok(()) }
    }

    /// Whether the client has said that it sends no more.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Gives back what was read last, to be read again.
    pub(super) fn unread(&mut self, bytes: &[u8]) {
        let later = replace(&mut self.plaintext, BytesMut::from(bytes));
        self.plaintext.extend_from_slice(&later);
    }

    /// Seals the first of these bytes and tells how many: none if a whole batch of records waits to be sent. What is
    /// short is gathered, so that a head and a small body, or a frame's header and its payload, make one record.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.is_over {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let room = BATCH.saturating_sub(self.outgoing.len());
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

    /// Says that nothing more will be written, once.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if replace(&mut self.is_over, true) {
            return Ok(());
        }
        self.traffic(|traffic, outgoing| outgoing.fill(OVERHEAD, |room| traffic.queue_close_notify(room)))
    }

    /// Has `write` send what waits, until nothing does.
    pub(super) fn poll_drain(
        &mut self,
        write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        self.outgoing.poll_drain(write)
    }

    /// Opens what came until `out` is full. With a buffer of no size it opens everything, to be read later.
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
                Ok(ConnectionState::PeerClosed) => self.has_ended = true,
                Ok(ConnectionState::EncodeTlsData(mut message)) => self.outgoing.encode(&mut message)?,
                Ok(ConnectionState::TransmitTlsData(messages)) => messages.done(),
                // Nothing to do without more records. Early data is never asked for.
                Ok(_) => waits = true,
                Err(error) => {
                    self.warn();
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

    /// Has `act` write what is to be sent, as soon as rustls has said what it has to say itself.
    fn traffic(
        &mut self,
        act: impl FnOnce(&mut WriteTraffic<'_, ServerConnectionData>, &mut Outgoing) -> Result<(), EncryptError>,
    ) -> io::Result<()> {
        if self.fault.is_some() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.seen < self.incoming.len() {
            // rustls writes only when it has nothing to open, and expects to see again what it has not used up.
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

    /// Has the alert sent that rustls has for a client that breaks the protocol.
    fn warn(&mut self) {
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
