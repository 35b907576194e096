//! A client's TLS stream, as hyper sees it.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::hello::Hello;
use super::meter::Meter;
use super::plaintext;
use super::session::Session;
use crate::body::Shown;
use crate::metrics::TlsSession;
use crate::tls::{PresentedCertificate, ServerTls};

/// A stream that encrypts at once and sends late: when a batch is full, or on
/// [`Stream::poll_send`]. hyper flushes after each chunk, over HTTP/2 after each frame, and each
/// flush would be a system call. Clones are the same stream.
#[derive(Clone)]
pub(super) struct Stream(Rc<Inner>);

struct Inner {
    /// Borrowed for one poll at most.
    session: RefCell<Session>,
    meter: Rc<Meter>,
}

impl Stream {
    /// Does the handshake of a client that has sent the first of its `records`, or none yet.
    /// Returns the stream, and whether the client was asked for a certificate.
    pub(super) async fn accept(
        meter: Rc<Meter>,
        mut records: BytesMut,
        tls: &ServerTls,
    ) -> io::Result<(Self, bool)> {
        let mut hello = tls.depends_on_hello().then(Hello::default);
        let choice = loop {
            match plaintext::is_http(&records) {
                Some(false) => {
                    let choice = match &mut hello {
                        Some(hello) => hello.choose(&records, tls),
                        None => Some(tls.choose(None)),
                    };
                    if let Some(choice) = choice {
                        break choice;
                    }
                }
                Some(true) => return Err(refuse_plaintext(&meter, &records).await),
                None => {}
            }
            if poll_fn(|cx| meter.poll_read(cx, &mut records)).await? == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
        };
        let answer = match &choice.place {
            Some(place) => tls.challenges.handshake(place).await,
            None => None,
        };
        let session = Session::new(answer.unwrap_or(choice.config), records).map_err(io::Error::other)?;
        let stream = Self(Rc::new(Inner { session: RefCell::new(session), meter }));
        poll_fn(|cx| stream.poll_handshake(cx)).await?;
        Ok((stream, choice.asks))
    }

    pub(super) fn meter(&self) -> Rc<Meter> {
        self.0.meter.clone()
    }

    pub(super) fn is_http2(&self) -> bool {
        self.0.session.borrow().is_http2()
    }

    /// Whether the handshake was an ACME directory's tls-alpn-01 validation.
    pub(super) fn is_challenge(&self) -> bool {
        self.0.session.borrow().is_challenge()
    }

    /// What its handshake counts as.
    pub(super) fn kind(&self) -> TlsSession {
        self.0.session.borrow().kind()
    }

    /// The certificate that the client has presented, once.
    pub(super) fn presented_certificate(&self) -> Option<PresentedCertificate> {
        PresentedCertificate::new(&self.0.session.borrow_mut().take_certificates())
    }

    /// To this, pieces of answers show themselves; see [`Session::shown`].
    pub(super) fn shown(&self) -> Rc<Shown> {
        self.0.session.borrow().shown()
    }

    /// Sends what waits. To be called after each poll of the connection that writes to this stream.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.session.borrow_mut().poll_drain(|records| self.0.meter.poll_write(cx, records))
    }

    /// Frees the memory of a connection that will be idle for some time.
    pub(super) fn rest(&self) {
        self.0.session.borrow_mut().rest();
    }

    /// Whether bytes have arrived that were not read, or were put back.
    pub(super) fn has_unread(&self) -> bool {
        self.0.session.borrow().has_unread()
    }

    /// Puts back bytes that were read, to be read again.
    pub(super) fn put_back(&self, bytes: &[u8]) {
        self.0.session.borrow_mut().put_back(bytes);
    }

    /// Sends a close_notify, if the kernel takes it at once.
    pub(super) fn end(&self) {
        if self.0.session.borrow_mut().end().is_ok() {
            _ = self.poll_send(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// What the handshake writes last, such as tickets, is sent together with what comes next.
    fn poll_handshake(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let read = self.0.session.borrow_mut().read(&mut ReadBuf::new(&mut []));
            if read.is_ok() && !self.0.session.borrow().is_handshaking() {
                return Poll::Ready(Ok(()));
            }
            let sent = self.poll_send(cx);
            read.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            ready!(sent)?;
            ready!(self.poll_fill(cx))?;
        }
    }

    fn poll_fill(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.0.session.borrow_mut().poll_fill(|records| self.0.meter.poll_read(cx, records)))? {
            0 => Poll::Ready(Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the client left without a close_notify",
            ))),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn write(&self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let seal = || self.0.session.borrow_mut().write(slices);
        match seal()? {
            0 => {}
            sealed => return Poll::Ready(Ok(sealed)),
        }
        ready!(self.poll_send(cx))?;
        Poll::Ready(seal())
    }
}

/// Answers a client that speaks HTTP without TLS and has sent `first`.
async fn refuse_plaintext(meter: &Meter, first: &[u8]) -> io::Error {
    let send = async || {
        let answer = plaintext::answer(first)?;
        let mut sent = 0;
        while sent < answer.len() {
            sent += poll_fn(|cx| meter.poll_write(cx, &answer[sent..])).await?;
        }
        poll_fn(|cx| meter.poll_shutdown(cx)).await
    };
    match send().await {
        Ok(()) => io::Error::new(ErrorKind::InvalidData, "plain HTTP instead of TLS"),
        Err(error) => error,
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            let mut session = self.0.session.borrow_mut();
            session.read(buffer).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            if buffer.filled().len() > before || buffer.remaining() == 0 || session.has_client_ended() {
                return Poll::Ready(Ok(()));
            }
            drop(session);
            ready!(self.poll_fill(cx))?;
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.session.borrow_mut().end()?;
        ready!(self.poll_send(cx))?;
        self.0.meter.poll_shutdown(cx)
    }
}
