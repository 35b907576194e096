//! The bytes to and from a registry.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::client::TlsStream;

use super::vanished::Examiner;
use crate::body::TURN;

/// TCP, TLS over TCP, or a Unix socket.
pub(super) trait Duplex: AsyncRead + AsyncWrite {
    /// The TCP socket, if the peer may be on another machine.
    fn tcp(&self) -> Option<BorrowedFd<'_>>;
}

impl Duplex for TcpStream {
    fn tcp(&self) -> Option<BorrowedFd<'_>> {
        Some(self.as_fd())
    }
}

impl Duplex for TlsStream<TcpStream> {
    fn tcp(&self) -> Option<BorrowedFd<'_>> {
        self.get_ref().0.tcp()
    }
}

impl Duplex for UnixStream {
    fn tcp(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

#[cfg(test)]
impl Duplex for tokio::io::DuplexStream {
    fn tcp(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A stream whose writes never fail. A registry that refuses an upload answers and closes. Further
/// writes would fail, and hyper would report that instead of reading the answer. So only reads show
/// how the exchange ends. They fail when the registry's machine has vanished.
pub(super) struct Stream {
    inner: Pin<Box<dyn Duplex>>,
    reads: Rc<Reads>,
    examiner: Examiner,
}

/// What the holder of a connection says and knows about its reads.
pub(super) struct Reads {
    /// Most bytes that are read at once.
    pub(super) most: Cell<u64>,
    /// Whether a byte has arrived since this was last unset.
    pub(super) has_begun: Cell<bool>,
}

impl Stream {
    pub(super) fn new(inner: impl Duplex + 'static) -> Self {
        let reads = Rc::new(Reads { most: Cell::new(TURN), has_begun: Cell::new(false) });
        Self { inner: Box::pin(inner), reads, examiner: Examiner::default() }
    }

    pub(super) fn reads(&self) -> Rc<Reads> {
        self.reads.clone()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { inner, reads, examiner } = &mut *self;
        let filled_before = buffer.filled().len();
        let read = pin!(inner.as_mut().take(reads.most.get())).poll_read(cx, buffer);
        if read.is_ready() {
            if buffer.filled().len() > filled_before {
                reads.has_begun.set(true);
            }
            return read;
        }
        let socket = inner.as_ref().get_ref().tcp();
        if socket.is_some_and(|socket| examiner.finds_vanished(socket, cx)) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
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
        // A head alone, as nearly always. One buffer costs the kernel less than a list of one.
        if let [only] = slices {
            return self.poll_write(cx, only);
        }
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
