//! A client's TLS stream, as hyper sees it: what is written waits for more of its kind.

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use rustls::Writer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use super::meter::{Meter, Metered};

/// Bytes of records that go to the kernel at once. Fewer cost more system calls, more no longer fit the cache of a core.
const BATCH: usize = 512 * 1024;

/// A stream that seals at once and sends late: when a batch is full, or when [`Stream::poll_send`] says so. hyper flushes after each chunk,
/// over HTTP/2 after each frame, and each flush would be a system call. Clones are the same stream.
#[derive(Clone)]
pub(super) struct Stream(Rc<Inner>);

struct Inner {
    tls: RefCell<TlsStream<Metered>>,
    /// Read once and given back.
    unread: Cell<Bytes>,
}

impl Stream {
    pub(super) fn new(mut tls: TlsStream<Metered>) -> Self {
        tls.get_mut().1.set_buffer_limit(Some(BATCH));
        Self(Rc::new(Inner { tls: RefCell::new(tls), unread: Cell::default() }))
    }

    pub(super) fn meter(&self) -> Rc<Meter> {
        self.0.tls.borrow().get_ref().0.meter()
    }

    pub(super) fn is_http2(&self) -> bool {
        self.0.tls.borrow().get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// Sends what waits. Whoever polls the connection that writes here polls this afterwards, each time.
    pub(super) fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|tls| tls.poll_flush(cx))
    }

    /// Gives back what was read, to be read again.
    pub(super) fn unread(&self, bytes: Bytes) {
        self.0.unread.set(bytes);
    }

    /// Nobody else borrows the stream meanwhile, for nothing here waits.
    fn poll<T>(&self, operation: impl FnOnce(Pin<&mut TlsStream<Metered>>) -> T) -> T {
        operation(Pin::new(&mut self.0.tls.borrow_mut()))
    }

    fn gather(
        &self,
        cx: &mut Context<'_>,
        write: impl Fn(&mut Writer<'_>) -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let seal = || write(&mut self.0.tls.borrow_mut().get_mut().1.writer());
        match seal()? {
            0 => {}
            sealed => return Poll::Ready(Ok(sealed)),
        }
        let sent = self.poll_send(cx)?;
        match seal()? {
            0 if sent.is_pending() => Poll::Pending,
            sealed => Poll::Ready(Ok(sealed)),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut unread = self.0.unread.take();
        if unread.is_empty() {
            return self.poll(|tls| tls.poll_read(cx, buffer));
        }
        buffer.put_slice(&unread.split_to(unread.len().min(buffer.remaining())));
        self.0.unread.set(unread);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.gather(cx, |writer| io::Write::write(writer, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gather(cx, |writer| io::Write::write_vectored(writer, slices))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|tls| tls.poll_shutdown(cx))
    }
}
