//! The TLS session of a client's connection, without its socket.

use std::io::{self, ErrorKind, IoSlice};
use std::mem::{replace, take};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, Bytes, BytesMut};
use rustls::pki_types::CertificateDer;
use rustls::server::UnbufferedServerConnection;
use rustls::{AlertDescription, HandshakeKind, ProtocolVersion, ServerConfig};
use tokio::io::ReadBuf;

use super::outgoing::Outgoing;
use super::unbuffered::Unbuffered;
use crate::body::Shown;
use crate::body::backlog::is_short;
use crate::crypto::records::{self, Content, Opened, Records};
use crate::crypto::{AFTER, CONTENT, OVERHEAD};
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

/// Decrypts what the client sends and encrypts what is sent to it. The buffers are here, so that a
/// session without bytes on their way holds none.
pub(super) struct Session {
    tls: Tls,
    /// Records that have arrived and are not decrypted yet.
    incoming: BytesMut,
    /// Whether more than [`FIRST_READ`] bytes have arrived at once.
    is_bulk: bool,
    /// Decrypted and not read yet.
    plaintext: BytesMut,
    outgoing: Outgoing,
    /// The piece that is about to be written.
    shown: Rc<Shown>,
    /// A piece that was written and is not sealed yet: the header of the frame that follows it goes
    /// into the same record. So it is not copied. It is sealed before anything is sent.
    tail: Bytes,
    handshake: Option<Handshake>,
    /// Whether the client has ended its side.
    has_client_ended: bool,
    /// Whether we have ended ours.
    has_ended: bool,
    /// How the client broke the protocol. From then on nothing is decrypted or encrypted.
    fault: Option<rustls::Error>,
}

/// Who moves the bytes.
enum Tls {
    Rustls(Box<Unbuffered>),
    /// TLS 1.3 after its handshake.
    Records(Box<Records>),
    /// The keys could not be taken over.
    Lost,
}

/// What is to be known of a handshake that is over.
struct Handshake {
    is_http2: bool,
    is_challenge: bool,
    kind: TlsSession,
    certificates: Vec<CertificateDer<'static>>,
}

impl Session {
    /// A session that begins with the records in `incoming`.
    pub(super) fn new(config: Arc<ServerConfig>, incoming: BytesMut) -> Result<Self, rustls::Error> {
        Ok(Self {
            tls: Tls::Rustls(Box::new(Unbuffered::new(config)?)),
            incoming,
            is_bulk: false,
            plaintext: BytesMut::new(),
            outgoing: Outgoing::default(),
            shown: Rc::default(),
            tail: Bytes::new(),
            handshake: None,
            has_client_ended: false,
            has_ended: false,
            fault: None,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.handshake.is_none()
    }

    pub(super) fn is_http2(&self) -> bool {
        self.handshake.as_ref().is_some_and(|handshake| handshake.is_http2)
    }

    /// What the handshake counts as.
    pub(super) fn kind(&self) -> TlsSession {
        self.handshake.as_ref().map_or(TlsSession::Tls13Full, |handshake| handshake.kind)
    }

    pub(super) fn is_challenge(&self) -> bool {
        self.handshake.as_ref().is_some_and(|handshake| handshake.is_challenge)
    }

    /// The certificates that the client has presented, its own first. They are kept until taken.
    pub(super) fn take_certificates(&mut self) -> Vec<CertificateDer<'static>> {
        self.handshake.as_mut().map(|handshake| take(&mut handshake.certificates)).unwrap_or_default()
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
        if !self.plaintext.is_empty() {
            return Ok(());
        }
        // It may have shared the memory of `incoming`.
        self.plaintext = BytesMut::new();
        self.open(out)
    }

    /// Frees the memory of a connection that will be idle for some time.
    pub(super) fn rest(&mut self) {
        if let Tls::Records(records) = &mut self.tls {
            records.rest();
        }
    }

    /// Whether the client has ended its side.
    pub(super) fn has_client_ended(&self) -> bool {
        self.has_client_ended
    }

    /// Whether something has arrived and was not read, or was put back.
    pub(super) fn has_unread(&self) -> bool {
        !self.plaintext.is_empty() || !self.incoming.is_empty()
    }

    /// Puts back what was read last, to be read again.
    pub(super) fn put_back(&mut self, bytes: &[u8]) {
        let later = replace(&mut self.plaintext, BytesMut::from(bytes));
        self.plaintext.extend_from_slice(&later);
    }

    /// To this, pieces show themselves before they are written, so that they are not copied.
    pub(super) fn shown(&self) -> Rc<Shown> {
        self.shown.clone()
    }

    /// Encrypts the first of these bytes and returns how many; none while a whole batch waits to be
    /// sent. Short slices are joined, so that a head and a small body, or a frame's header and its
    /// payload, make one record. A whole frame's payload waits for the header of the next frame,
    /// and they make one.
    pub(super) fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.has_ended || self.fault.is_some() {
            self.shown.take(None);
            return Err(ErrorKind::BrokenPipe.into());
        }
        let batch = if is_short() { SHORT_BATCH } else { BATCH };
        let room = batch.saturating_sub(self.outgoing.len() + self.tail.len());
        let mut rest = slices.iter().map(|slice| &**slice).skip_while(|slice| slice.is_empty());
        let Some(first) = rest.next().filter(|_| room > 0) else { return Ok(0) };
        let piece = self.shown.take(slices.last().map(|slice| &**slice));
        // This is how h2 writes a frame: its header and the first of its payload, then the rest.
        if let (Some(piece), [_, _], Tls::Records(_)) = (piece, slices, &self.tls)
            && first.len() <= AFTER
            && first.len() + piece.len() >= CONTENT
        {
            self.seal_tail(first)?;
            self.tail = piece;
            return Ok(first.len() + self.tail.len());
        }
        self.seal_tail(&[])?;
        let whole = first.len() - first.len() % CONTENT;
        if whole > 0 {
            return self.seal(&first[..whole.min(room.next_multiple_of(CONTENT))]);
        }
        match rest.next() {
            None => self.seal(first),
            Some(second) => self.seal_joined([first, second].into_iter().chain(rest)),
        }
    }

    /// Ends our side with a close_notify; does nothing when called again.
    pub(super) fn end(&mut self) -> io::Result<()> {
        if replace(&mut self.has_ended, true) {
            return Ok(());
        }
        if self.fault.is_some() {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.seal_tail(&[])?;
        self.let_rustls_read()?;
        match &mut self.tls {
            Tls::Records(records) => seal_alert(records, &mut self.outgoing, AlertDescription::CloseNotify)
                .map_err(io::Error::other),
            Tls::Rustls(tls) => tls.end(&mut self.incoming, &mut self.outgoing),
            Tls::Lost => Err(ErrorKind::BrokenPipe.into()),
        }
    }

    /// Sends with `write` until nothing waits.
    pub(super) fn poll_drain(
        &mut self,
        write: impl FnMut(&[u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<()>> {
        self.seal_tail(&[])?;
        self.outgoing.poll_drain(write)
    }

    /// Decrypts what has arrived until `out` is full.
    fn open(&mut self, out: &mut ReadBuf<'_>) -> Result<(), rustls::Error> {
        if let Some(fault) = &self.fault {
            return Err(fault.clone());
        }
        let opened = match &mut self.tls {
            Tls::Rustls(_) => self.open_with_rustls(out),
            Tls::Records(_) => self.open_records(out),
            Tls::Lost => Err(rustls::Error::HandshakeNotComplete),
        };
        opened.inspect_err(|fault| self.fault = Some(fault.clone()))
    }

    fn open_with_rustls(&mut self, out: &mut ReadBuf<'_>) -> Result<(), rustls::Error> {
        let Tls::Rustls(tls) = &mut self.tls else { return Ok(()) };
        self.has_client_ended |=
            tls.open(&mut self.incoming, out, &mut self.plaintext, &mut self.outgoing)?;
        if self.handshake.is_some() || !tls.has_greeted() {
            return Ok(());
        }
        self.handshake = Some(Handshake::of(tls.tls()));
        if tls.tls().protocol_version() == Some(ProtocolVersion::TLSv1_3)
            && let Tls::Rustls(tls) = replace(&mut self.tls, Tls::Lost)
        {
            self.tls = Tls::Records(Box::new(Records::take_over(tls.into_tls())?));
        }
        Ok(())
    }

    fn open_records(&mut self, out: &mut ReadBuf<'_>) -> Result<(), rustls::Error> {
        let Tls::Records(records) = &mut self.tls else { return Ok(()) };
        while out.remaining() > 0 && !self.has_client_ended {
            let opened = records.open(&mut self.incoming).inspect_err(|fault| {
                if let Some(alert) = records::alert(fault).filter(|_| !self.has_ended) {
                    _ = seal_alert(records, &mut self.outgoing, alert);
                }
            })?;
            let Some(Opened { length, content }) = opened else { break };
            match content {
                Content::Data(place) if place.len() > out.remaining() => {
                    let mut record = self.incoming.split_to(length);
                    record.truncate(place.end);
                    record.advance(place.start);
                    let now = record.split_to(out.remaining());
                    out.put_slice(&now);
                    self.plaintext = record;
                    continue;
                }
                Content::Data(place) => out.put_slice(&self.incoming[place]),
                Content::Nothing => {}
                Content::End => self.has_client_ended = true,
            }
            self.incoming.advance(length);
        }
        Ok(())
    }

    /// Seals the piece that waits, and the few bytes `after` it.
    fn seal_tail(&mut self, after: &[u8]) -> io::Result<()> {
        let tail = take(&mut self.tail);
        // Nothing may follow the alert, which waits to be sent.
        if tail.len() + after.len() == 0 || self.fault.is_some() {
            return Ok(());
        }
        if tail.len() + after.len() > CONTENT {
            self.seal(&tail)?;
            return self.seal(after).map(drop);
        }
        if let Tls::Records(records) = &mut self.tls {
            add(records, &mut self.outgoing, tail.len() + after.len(), |records, record| {
                records.seal_both(&tail, after, record)
            })
            .map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn seal(&mut self, plaintext: &[u8]) -> io::Result<usize> {
        self.let_rustls_read()?;
        match &mut self.tls {
            Tls::Records(records) => {
                self.outgoing.reserve(plaintext.len() + OVERHEAD * plaintext.len().div_ceil(CONTENT));
                for content in plaintext.chunks(CONTENT) {
                    add(records, &mut self.outgoing, content.len(), |records, record| {
                        records.seal(content, record)
                    })
                    .map_err(io::Error::other)?;
                }
            }
            Tls::Rustls(tls) => tls.seal(plaintext, &mut self.incoming, &mut self.outgoing)?,
            Tls::Lost => return Err(ErrorKind::BrokenPipe.into()),
        }
        Ok(plaintext.len())
    }

    /// Encrypts the first bytes of `slices` as one record.
    fn seal_joined<'a>(&mut self, slices: impl Iterator<Item = &'a [u8]> + Clone) -> io::Result<usize> {
        let length = CONTENT.min(slices.clone().map(<[u8]>::len).sum());
        let join = |mut room: &mut [u8]| {
            for slice in slices {
                let length = slice.len().min(room.len());
                let (place, rest) = take(&mut room).split_at_mut(length);
                place.copy_from_slice(&slice[..length]);
                room = rest;
            }
        };
        let Tls::Records(records) = &mut self.tls else {
            let mut plaintext = vec![0; length];
            join(&mut plaintext);
            return self.seal(&plaintext);
        };
        add(records, &mut self.outgoing, length, |records, record| records.seal_in_place(record, join))
            .map_err(io::Error::other)?;
        Ok(length)
    }

    /// rustls writes only when it has nothing to decrypt, and has to see again what it has not
    /// consumed.
    fn let_rustls_read(&mut self) -> io::Result<()> {
        match &self.tls {
            Tls::Rustls(tls) if !tls.has_seen(&self.incoming) => {
                self.open(&mut ReadBuf::new(&mut [])).map_err(io::Error::other)
            }
            _ => Ok(()),
        }
    }
}

impl Handshake {
    fn of(tls: &UnbufferedServerConnection) -> Self {
        let is_resumed = tls.handshake_kind() == Some(HandshakeKind::Resumed);
        let kind = match (tls.protocol_version(), is_resumed) {
            (Some(ProtocolVersion::TLSv1_2), false) => TlsSession::Tls12Full,
            (Some(ProtocolVersion::TLSv1_2), true) => TlsSession::Tls12Resumed,
            (_, false) => TlsSession::Tls13Full,
            (_, true) => TlsSession::Tls13Resumed,
        };
        Self {
            is_http2: tls.alpn_protocol() == Some(b"h2"),
            is_challenge: tls.alpn_protocol() == Some(ACME),
            kind,
            certificates: tls.peer_certificates().unwrap_or_default().to_vec(),
        }
    }
}

/// Appends a record with `length` bytes of content, which `seal` writes, after a change of keys if
/// one is due.
fn add(
    records: &mut Records,
    outgoing: &mut Outgoing,
    length: usize,
    seal: impl FnOnce(&mut Records, &mut [u8]) -> Result<(), rustls::Error>,
) -> Result<(), rustls::Error> {
    if let Some(update) = records.key_update()? {
        outgoing.append(&update);
    }
    outgoing.add(length + OVERHEAD, |record| seal(records, record))
}

fn seal_alert(
    records: &mut Records,
    outgoing: &mut Outgoing,
    alert: AlertDescription,
) -> Result<(), rustls::Error> {
    add(records, outgoing, records::ALERT, |records, record| records.seal_alert(alert, record))
}

#[cfg(test)]
mod tests;
