//! A client of the floor, with its connection to the upstream.

use std::io;
use std::mem;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::event::epoll::EventFlags;
use rustls::{ServerConfig, ServerConnection};

use super::end::{Buffer, End, FROM_CLIENT, FROM_UPSTREAM, Shared};
use super::http2::{HEADER, Http2};
use super::key::{CONTENT, Key, record};

const UNAUTHORIZED: &[u8] =
    b"HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic\r\ncontent-length: 0\r\n\r\n";

pub struct Connection {
    client: End,
    upstream: Option<End>,
    handshake: Option<Box<ServerConnection>>,
    keys: Option<Keys>,
    /// None over HTTP/1.1.
    http2: Option<Box<Http2>>,
    /// The start of a record, at the start of a buffer.
    rest: Option<(Buffer, usize)>,
    /// Whether all bytes are passed on. Over HTTP/2, each request is looked at.
    admitted: bool,
}

struct Keys {
    opening: Key,
    sealing: Key,
}

impl Connection {
    /// A `closed` one wants a password in its first request.
    pub fn new(
        socket: OwnedFd,
        token: u64,
        tls: Arc<ServerConfig>,
        closed: bool,
        shared: &Shared,
    ) -> io::Result<Connection> {
        let handshake = ServerConnection::new(tls).map_err(io::Error::other)?;
        Ok(Connection {
            client: End::new(socket, token, shared)?,
            upstream: None,
            handshake: Some(Box::new(handshake)),
            keys: None,
            http2: None,
            rest: None,
            admitted: !closed,
        })
    }

    /// Ends it. The client has had its answers.
    pub fn end(self, shared: &mut Shared) {
        if let Some(upstream) = self.upstream {
            shared.keep_upstream(upstream);
        }
    }

    /// Does all that an event makes possible. After an error, the connection ends.
    pub fn serve(&mut self, token: u64, flags: EventFlags, shared: &mut Shared) -> io::Result<()> {
        let of_client = token == self.client.token;
        let end = if of_client { Some(&mut self.client) } else { self.upstream.as_mut() };
        if let Some(end) = end {
            end.notice(flags, shared)?;
        }
        self.requests(shared)?;
        if self.http2.is_some() { self.frames(shared) } else { self.answers(shared) }
    }

    fn requests(&mut self, shared: &mut Shared) -> io::Result<()> {
        while self.client.readable && self.upstream.as_ref().is_none_or(|end| end.pending.is_none()) {
            let (mut records, kept) = self.rest.take().unwrap_or_else(|| (shared.buffer(), 0));
            let mut plain = shared.buffer();
            let received = self.receive(&mut records, kept, &mut plain);
            match received {
                Ok((rest, _)) if rest > 0 => self.rest = Some((records, rest)),
                _ => shared.keep(records),
            }
            match received {
                Ok((_, length)) if length > 0 => self.pass_on(plain, length, shared)?,
                other => {
                    shared.keep(plain);
                    other?;
                }
            }
        }
        Ok(())
    }

    /// Reads behind what was kept, and opens all complete records. Returns the length of the rest,
    /// which moves to the start, and that of the plaintext.
    fn receive(&mut self, records: &mut [u8], kept: usize, plain: &mut [u8]) -> io::Result<(usize, usize)> {
        let filled = kept + self.client.read(&mut records[kept..kept + FROM_CLIENT])?;
        let (mut from, mut length) = (0, 0);
        while let Some(record) = record(&records[from..filled]) {
            from += record.len();
            match &mut self.keys {
                Some(keys) => {
                    let plain = &mut plain[length..];
                    let opened = keys.opening.open(record, plain)?;
                    length += match &mut self.http2 {
                        None => opened,
                        Some(http2) => http2.requests(plain, opened)?,
                    };
                }
                None => self.shake(record)?,
            }
        }
        records.copy_within(from..filled, 0);
        Ok((filled - from, length))
    }

    /// Continues the handshake with one record. With the last one, its keys are taken.
    fn shake(&mut self, mut record: &[u8]) -> io::Result<()> {
        let Some(tls) = &mut self.handshake else { return Ok(()) };
        while !record.is_empty() {
            tls.read_tls(&mut record)?;
            tls.process_new_packets().map_err(io::Error::other)?;
        }
        while tls.wants_write() {
            tls.write_tls(&mut self.client.stream)?;
        }
        if let Some(tls) = self.handshake.take_if(|tls| !tls.is_handshaking()) {
            if tls.alpn_protocol() == Some(b"h2") {
                let closed = !mem::replace(&mut self.admitted, true);
                self.http2 = Some(Box::new(Http2::new(closed)));
            }
            let secrets = tls.dangerous_extract_secrets().map_err(io::Error::other)?;
            self.keys = Some(Keys { opening: Key::new(secrets.rx)?, sealing: Key::new(secrets.tx)? });
        }
        Ok(())
    }

    fn pass_on(&mut self, plain: Buffer, length: usize, shared: &mut Shared) -> io::Result<()> {
        let field = b"\r\nauthorization:";
        if !self.admitted && !plain[..length].windows(field.len()).any(|window| window == field) {
            shared.keep(plain);
            return self.answer(UNAUTHORIZED, shared);
        }
        self.admitted = true;
        let upstream = match &mut self.upstream {
            Some(upstream) => upstream,
            none => none.insert(shared.connect(self.client.token + 1)?),
        };
        upstream.send(plain, length, shared)
    }

    fn answers(&mut self, shared: &mut Shared) -> io::Result<()> {
        while self.client.pending.is_none()
            && let Some(upstream) = self.upstream.as_mut().filter(|end| end.readable)
        {
            let mut plain = shared.buffer();
            let read = upstream.read(&mut plain[..FROM_UPSTREAM])?;
            self.answer(&plain[..read], shared)?;
            shared.keep(plain);
        }
        Ok(())
    }

    /// What [`Connection::answers`] does, over HTTP/2.
    fn frames(&mut self, shared: &mut Shared) -> io::Result<()> {
        if self.client.pending.is_none() {
            let replies = self.http2.as_mut().map(|http2| http2.replies()).unwrap_or_default();
            self.answer(&replies, shared)?;
        }
        let (Some(http2), Some(keys)) = (&mut self.http2, &mut self.keys) else { return Ok(()) };
        while self.client.pending.is_none()
            && let Some(upstream) = self.upstream.as_mut().filter(|end| end.readable)
            && let Some(room) = http2.room()
        {
            let mut plain = shared.buffer();
            let read = upstream.read(&mut plain[HEADER..HEADER + room])?;
            if read > 0 {
                let mut sealed = shared.buffer();
                let length = http2.answer(&mut plain, read, &mut keys.sealing, &mut sealed)?;
                self.client.send(sealed, length, shared)?;
            }
            let next = http2.next_request();
            if next.is_empty() {
                shared.keep(plain);
            } else {
                plain[..next.len()].copy_from_slice(&next);
                upstream.send(plain, next.len(), shared)?;
            }
        }
        Ok(())
    }

    fn answer(&mut self, plain: &[u8], shared: &mut Shared) -> io::Result<()> {
        let (Some(keys), false) = (&mut self.keys, plain.is_empty()) else { return Ok(()) };
        let (mut sealed, mut length) = (shared.buffer(), 0);
        for content in plain.chunks(CONTENT) {
            length += keys.sealing.seal(content, &mut sealed[length..])?;
        }
        self.client.send(sealed, length, shared)
    }
}
