//! The end of a connection that does not lose what was written last.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// How long a closed connection is still read, so that a client that is sending receives our answer
/// and not a reset.
const LINGER: Duration = Duration::from_secs(2);

/// The wait for a client to end its side after we have ended ours.
#[derive(Default)]
pub(super) struct Linger(Option<Pin<Box<Sleep>>>);

impl Linger {
    /// Whether our side was ended.
    pub(super) fn has_begun(&self) -> bool {
        self.0.is_some()
    }

    /// Ends our side, then discards what the client sends until it ends its own, for [`LINGER`] at
    /// most. Closing a socket with unread bytes would lose what we wrote last.
    pub(super) fn poll(&mut self, tcp: &mut TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut tcp = Pin::new(tcp);
        let mut scratch = [MaybeUninit::uninit(); 16 * 1024];
        if self.0.is_none() {
            // Most clients end their side first. Then there is nothing to wait for.
            let mut buffer = ReadBuf::uninit(&mut scratch);
            if let Poll::Ready(result) = tcp.as_mut().poll_read(cx, &mut buffer)
                && (result.is_err() || buffer.filled().is_empty())
            {
                return Poll::Ready(Ok(()));
            }
            ready!(tcp.as_mut().poll_shutdown(cx))?;
        }
        let alarm = self.0.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        loop {
            if alarm.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::uninit(&mut scratch);
            ready!(tcp.as_mut().poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// A socket whose shutdown lingers.
pub(super) struct LingeringSocket {
    tcp: TcpStream,
    linger: Linger,
}

impl LingeringSocket {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self { tcp, linger: Linger::default() }
    }
}

impl AsyncRead for LingeringSocket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for LingeringSocket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tcp).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { tcp, linger } = &mut *self;
        linger.poll(tcp, cx)
    }
}
