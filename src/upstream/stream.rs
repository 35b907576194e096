//! The bytes to and from a registry.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// TCP, TLS over TCP, or a Unix socket.
pub(super) trait Duplex: AsyncRead + AsyncWrite {}
impl<S: AsyncRead + AsyncWrite> Duplex for S {}

/// A stream whose writes never fail. A registry that refuses an upload answers and closes. Further
/// writes would fail, and hyper would report that instead of reading the answer. So only reads show
/// how the exchange ends.
pub(super) struct Stream {
    inner: Pin<Box<dyn Duplex>>,
    most: Rc<Cell<usize>>,
}

impl Stream {
    pub(super) fn new(inner: impl Duplex + 'static) -> Self {
        Self { inner: Box::pin(inner), most: Rc::new(Cell::new(usize::MAX)) }
    }

    /// Most bytes that are read at once, to be set from outside.
    pub(super) fn most(&self) -> Rc<Cell<usize>> {
        self.most.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let most = self.most.get();
        if most >= buffer.remaining() {
            return self.inner.as_mut().poll_read(cx, buffer);
        }
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(self.inner.as_mut().poll_read(cx, &mut part))?;
        let read = part.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.inner.as_mut().poll_write(cx, bytes).map(|result| Ok(result.unwrap_or(bytes.len())))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all = || slices.iter().map(|slice| slice.len()).sum();
        self.inner.as_mut().poll_write_vectored(cx, slices).map(|result| Ok(result.unwrap_or_else(|_| all())))
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.as_mut().poll_flush(cx).map(|_| Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.inner.as_mut().poll_shutdown(cx)
    }
}
