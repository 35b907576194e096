//! A client's socket that knows how much of what was written has arrived.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

use super::outq::unacknowledged;

/// How long a closed connection still listens, so that a client which is sending reads our answer
/// and not a reset.
const LINGER: Duration = Duration::from_secs(2);

/// Bytes that are read ahead of TLS, which asks for no more than one record.
const AHEAD: usize = 128 * 1024;

/// The socket below TLS.
pub(super) struct Metered {
    socket: Rc<Meter>,
    /// None while TLS itself reads, as much as it asks for.
    ahead: Option<Box<Ahead>>,
    linger: Option<Pin<Box<Sleep>>>,
}

/// What is known of a client's socket.
pub(super) struct Meter {
    tcp: RefCell<TcpStream>,
    written: Cell<u64>,
    blocked: Cell<bool>,
}

impl Meter {
    /// Bytes that the client's host has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.written.get().saturating_sub(self.outstanding())
    }

    /// Whether something waits to be sent or acknowledged.
    pub(super) fn is_sending(&self) -> bool {
        self.is_blocked() || self.outstanding() > 0
    }

    /// Whether the kernel takes no more.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Whether the client has closed or reset the connection, whatever it sent before and we have not read.
    pub(super) fn is_gone(&self) -> bool {
        let tcp = self.tcp.borrow();
        let mut sockets = [PollFd::new(&*tcp, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        poll(&mut sockets, Some(&now)).is_ok_and(|_| sockets[0].revents().intersects(gone))
    }

    /// Waits until there is something to read, be it the end.
    pub(super) async fn readable(&self) {
        let mut byte = [0];
        // An error is something to read, too.
        poll_fn(|cx| self.tcp.borrow().poll_peek(cx, &mut ReadBuf::new(&mut byte)).map(drop)).await;
    }

    /// Has the connection reset when it is closed. What the client does not take would else stay with the kernel for minutes.
    pub(super) fn give_up(&self) {
        _ = self.tcp.borrow().set_zero_linger();
    }

    fn outstanding(&self) -> u64 {
        unacknowledged(&*self.tcp.borrow()).unwrap_or_default()
    }

    /// Reads or writes; nobody else borrows the socket meanwhile, for nothing here waits.
    fn poll<T>(&self, operation: impl FnOnce(Pin<&mut TcpStream>) -> T) -> T {
        operation(Pin::new(&mut self.tcp.borrow_mut()))
    }

    fn wrote(&self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.blocked.set(result.is_pending());
        if let Poll::Ready(Ok(bytes)) = &result {
            self.written.set(self.written.get() + *bytes as u64);
        }
        result
    }
}

impl Metered {
    pub(super) fn new(tcp: TcpStream) -> Self {
        let meter = Meter { tcp: RefCell::new(tcp), written: Cell::new(0), blocked: Cell::new(false) };
        Self { socket: Rc::new(meter), ahead: None, linger: None }
    }

    pub(super) fn meter(&self) -> Rc<Meter> {
        self.socket.clone()
    }
}

impl AsyncRead for Metered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, ahead: reads_ahead, .. } = &mut *self;
        let Some(ahead) = reads_ahead else {
            ready!(socket.poll(|tcp| tcp.poll_read(cx, buffer)))?;
            if buffer.remaining() == 0 {
                // More than was asked for may be there, as in an upload.
                *reads_ahead = Some(Box::default());
            }
            return Poll::Ready(Ok(()));
        };
        if ahead.is_empty() {
            let read = socket.poll(|tcp| ahead.poll_fill(tcp, cx));
            if !matches!(read, Poll::Ready(Ok(()))) {
                *reads_ahead = None;
                return read;
            }
        }
        ahead.give(buffer);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.socket.wrote(self.socket.poll(|tcp| tcp.poll_write(cx, bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.socket.wrote(self.socket.poll(|tcp| tcp.poll_write_vectored(cx, slices)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll(|tcp| tcp.poll_flush(cx))
    }

    /// Ends our side, then reads and forgets what the client still sends until it ends its own, for
    /// [`LINGER`] at most: closing a socket with unread bytes would throw away what we wrote last.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(self.socket.poll(|tcp| tcp.poll_shutdown(cx)))?;
        }
        let this = &mut *self;
        let alarm = this.linger.get_or_insert_with(|| Box::pin(sleep(LINGER)));
        let mut scratch = [0; 16 * 1024];
        loop {
            if alarm.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(this.socket.poll(|tcp| tcp.poll_read(cx, &mut buffer)))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

/// What was read from a client and not yet asked for. Holds memory only while bytes keep coming.
#[derive(Default)]
struct Ahead {
    buffer: Vec<u8>,
    given: usize,
    filled: usize,
}

impl Ahead {
    fn is_empty(&self) -> bool {
        self.given == self.filled
    }

    fn poll_fill(&mut self, tcp: Pin<&mut TcpStream>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.buffer.resize(AHEAD, 0);
        let mut buffer = ReadBuf::new(&mut self.buffer);
        ready!(tcp.poll_read(cx, &mut buffer))?;
        (self.given, self.filled) = (0, buffer.filled().len());
        Poll::Ready(Ok(()))
    }

    fn give(&mut self, buffer: &mut ReadBuf<'_>) {
        let end = self.filled.min(self.given + buffer.remaining());
        buffer.put_slice(&self.buffer[self.given..end]);
        self.given = end;
    }
}
