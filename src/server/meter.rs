//! A client's socket that knows how much of what was written has arrived.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use bytes::BytesMut;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::io::{AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::coop;

use super::linger::Linger;
use super::outq::unacknowledged;

/// Bytes that cost a unit of a task's budget. It has 128, so 512 KiB are read at once.
const BYTES_PER_UNIT: usize = 4 * 1024;

/// A client's socket, and how far its client has received what was written.
pub(super) struct Meter {
    /// Borrowed for one poll at most.
    tcp: RefCell<TcpStream>,
    written: Cell<u64>,
    blocked: Cell<bool>,
    linger: RefCell<Linger>,
}

impl Meter {
    pub(super) fn new(tcp: TcpStream) -> Self {
        Self {
            tcp: RefCell::new(tcp),
            written: Cell::new(0),
            blocked: Cell::new(false),
            linger: RefCell::default(),
        }
    }

    /// Bytes that the client's host has acknowledged.
    pub(super) fn acknowledged(&self) -> u64 {
        self.written.get().saturating_sub(self.outstanding())
    }

    /// Whether bytes wait to be sent or acknowledged.
    pub(super) fn is_sending(&self) -> bool {
        self.is_blocked() || self.outstanding() > 0
    }

    /// Whether the kernel takes no more.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.get()
    }

    /// Whether the client has closed or reset the connection, even if there are bytes left to read.
    pub(super) fn is_gone(&self) -> bool {
        let tcp = self.tcp.borrow();
        let mut sockets = [PollFd::new(&*tcp, PollFlags::RDHUP)];
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        let gone = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
        poll(&mut sockets, Some(&now)).is_ok_and(|_| sockets[0].revents().intersects(gone))
    }

    /// Waits until there is something to read, which may be the end.
    pub(super) async fn readable(&self) {
        let mut byte = [0];
        // An error is something to read, too.
        poll_fn(|cx| self.tcp.borrow().poll_peek(cx, &mut ReadBuf::new(&mut byte)).map(drop)).await;
    }

    /// Resets the connection on close (SO_LINGER 0); otherwise the kernel would hold the unsent
    /// data for minutes.
    pub(super) fn reset_on_close(&self) {
        _ = self.tcp.borrow().set_zero_linger();
    }

    /// Whether our side was ended. What still arrives is discarded and cannot be read any more.
    pub(super) fn is_lingering(&self) -> bool {
        self.linger.borrow().has_begun()
    }

    /// Reads what has arrived, as far as `buffer` has room for it.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut BytesMut) -> Poll<io::Result<usize>> {
        let read = pin!(self.tcp.borrow_mut().read_buf(buffer)).poll(cx);
        if let Poll::Ready(Ok(bytes)) = &read {
            spend_budget(cx, *bytes);
        }
        read
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let has_budget = coop::has_budget_remaining();
        let result = Pin::new(&mut *self.tcp.borrow_mut()).poll_write(cx, bytes);
        // Without a budget, the kernel was not asked.
        if has_budget {
            self.blocked.set(result.is_pending());
        }
        if let Poll::Ready(Ok(bytes)) = &result {
            self.written.set(self.written.get() + *bytes as u64);
        }
        result
    }

    /// Ends our side, and waits a short time for the client to end its own.
    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.linger.borrow_mut().poll(&mut self.tcp.borrow_mut(), cx)
    }

    fn outstanding(&self) -> u64 {
        unacknowledged(&*self.tcp.borrow()).unwrap_or_default()
    }
}

/// Takes what `bytes` cost off the task's budget. tokio takes the same for each read, but a long
/// one of HTTP/2 may have thousands of small frames, and other tasks wait until they are handled.
fn spend_budget(cx: &mut Context<'_>, bytes: usize) {
    for _ in 0..bytes / BYTES_PER_UNIT {
        match coop::poll_proceed(cx) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => return,
        }
    }
}
