//! The bytes to and from a registry.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use bytes::BufMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::coop::unconstrained;
use tokio_rustls::client::TlsStream;

use super::vanished::Examiner;

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

#[cfg(any(test, fuzzing))]
impl Duplex for tokio::io::DuplexStream {
    fn tcp(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

/// A stream whose writes never fail. A registry that refuses an upload answers and closes. Further
/// writes would fail, before the answer was read. So only reads show how the exchange ends. They
/// fail when the registry's machine has vanished.
pub(super) struct Stream {
    inner: Pin<Box<dyn Duplex>>,
    examiner: Examiner,
    /// Whether a write has failed.
    is_broken: bool,
}

impl Stream {
    pub(super) fn new(inner: impl Duplex + 'static) -> Self {
        Self { inner: Box::pin(inner), examiner: Examiner::default(), is_broken: false }
    }

    /// Writes the first of these bytes and returns how many.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<usize> {
        // A head alone, as nearly always. One buffer costs the kernel less than a list of one.
        let sent = ready!(match slices {
            [only] => self.inner.as_mut().poll_write(cx, only),
            _ => self.inner.as_mut().poll_write_vectored(cx, slices),
        });
        Poll::Ready(sent.ok().filter(|sent| *sent > 0).unwrap_or_else(|| {
            self.is_broken = true;
            slices.iter().map(|slice| slice.len()).sum()
        }))
    }

    /// Sends what TLS has gathered.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let flushed = ready!(self.inner.as_mut().poll_flush(cx));
        self.is_broken |= flushed.is_err();
        Poll::Ready(())
    }

    /// Reads what has arrived, as much as fits. Returns how many bytes, 0 at the end.
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut impl BufMut,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(read) = pin!(self.inner.read_buf(buffer)).poll(cx) {
            return Poll::Ready(read);
        }
        let socket = self.inner.as_ref().get_ref().tcp();
        if socket.is_some_and(|socket| self.examiner.finds_vanished(socket, cx)) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// Whether nothing has arrived, no end either, and all writes have succeeded.
    pub(super) fn is_quiet(&mut self) -> bool {
        // Without the budget of a task: it would say so without a look.
        let byte = &mut [0; 1];
        let mut read = pin!(unconstrained(self.inner.read(byte)));
        !self.is_broken && read.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
    }
}
