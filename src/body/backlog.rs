//! Bytes on their way to clients that have not taken them.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use super::TURN;

/// Bytes that may wait for the client of one connection. Beyond it, its streams read little at
/// once.
const OF_CONNECTION: usize = 4 << 20;
/// The same for all connections.
const OF_PROCESS: usize = 96 << 20;
/// Bytes that a stream reads at once, and may have waiting, while memory is short.
const SHORT_READ: usize = 16 << 10;

static TOTAL: AtomicUsize = AtomicUsize::new(0);

/// Whether so many bytes wait for clients that each must have less.
pub(crate) fn is_short() -> bool {
    TOTAL.load(Ordering::Relaxed) > OF_PROCESS
}

/// Whether so many bytes wait that some of them must go.
pub(super) fn is_exhausted() -> bool {
    TOTAL.load(Ordering::Relaxed) > 2 * OF_PROCESS
}

/// A buffer that waits for a client.
#[derive(Debug, Default)]
pub(crate) struct Charge(usize);

impl Charge {
    /// Sets the size of the buffer.
    pub(crate) fn set(&mut self, bytes: usize) {
        if bytes >= self.0 {
            TOTAL.fetch_add(bytes - self.0, Ordering::Relaxed);
        } else {
            TOTAL.fetch_sub(self.0 - bytes, Ordering::Relaxed);
        }
        self.0 = bytes;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        TOTAL.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// A client's connection, as its requests share it.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    /// Whether many answers may wait for the client at once.
    has_streams: bool,
    waiting: AtomicUsize,
}

impl Connection {
    /// A connection that has streams (HTTP/2), or one answer after the other.
    pub(crate) fn new(has_streams: bool) -> Arc<Self> {
        Arc::new(Self { has_streams, waiting: AtomicUsize::new(0) })
    }
}

/// The bytes of one answer that wait for the client.
#[derive(Debug)]
pub(super) struct Backlog {
    connection: Arc<Connection>,
    waiting: AtomicUsize,
    /// Woken when some of them have been taken.
    reader: Mutex<Option<Waker>>,
}

impl Backlog {
    pub(super) fn new(connection: Arc<Connection>) -> Arc<Self> {
        Arc::new(Self { connection, waiting: AtomicUsize::new(0), reader: Mutex::default() })
    }

    /// How many bytes may be read at once. Waits while memory is short and the client has not taken
    /// what was read before.
    pub(super) fn poll_room(&self, cx: &Context<'_>) -> Poll<u64> {
        if self.connection.waiting.load(Ordering::Relaxed) < OF_CONNECTION && !is_short() {
            return Poll::Ready(TURN);
        }
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        if self.waiting.load(Ordering::Relaxed) < SHORT_READ {
            return Poll::Ready(SHORT_READ as u64);
        }
        *reader = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Counts `bytes` until the last piece of them is dropped. A short last piece is not counted if
    /// there can be only one of them: for a small answer, counting costs a percent of its CPU time.
    pub(super) fn hold(self: &Arc<Self>, bytes: Bytes, is_last: bool) -> Bytes {
        if is_last && bytes.len() <= SHORT_READ && !self.connection.has_streams {
            return bytes;
        }
        let size = bytes.len();
        self.waiting.fetch_add(size, Ordering::Relaxed);
        self.connection.waiting.fetch_add(size, Ordering::Relaxed);
        let mut charge = Charge::default();
        charge.set(size);
        Bytes::from_owner(Held { bytes, backlog: self.clone(), _charge: charge })
    }
}

struct Held {
    bytes: Bytes,
    backlog: Arc<Backlog>,
    _charge: Charge,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Self { bytes, backlog, .. } = self;
        backlog.connection.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
        backlog.waiting.fetch_sub(bytes.len(), Ordering::Relaxed);
        let reader = backlog.reader.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(reader) = reader {
            reader.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_beyond_its_budget_reads_little_until_the_client_has_taken_it() {
        let connection = Arc::<Connection>::default();
        let (slow, other) = (Backlog::new(connection.clone()), Backlog::new(connection));
        let cx = Context::from_waker(Waker::noop());
        assert_eq!(slow.poll_room(&cx), Poll::Ready(TURN));
        let mut held = slow.hold(Bytes::from(vec![0; OF_CONNECTION]), false);
        assert_eq!(slow.poll_room(&cx), Poll::Pending);
        assert_eq!(other.poll_room(&cx), Poll::Ready(SHORT_READ as u64));
        let piece = held.split_to(100);
        drop(held);
        assert_eq!(slow.poll_room(&cx), Poll::Pending, "a piece keeps the memory of all");
        drop(piece);
        assert_eq!(slow.poll_room(&cx), Poll::Ready(TURN));
    }

    #[test]
    fn a_short_last_piece_is_counted_where_there_may_be_many() {
        for has_streams in [false, true] {
            let connection = Connection::new(has_streams);
            let backlog = Backlog::new(connection.clone());
            let _held = backlog.hold(Bytes::from(vec![0; SHORT_READ]), true);
            let counted = if has_streams { SHORT_READ } else { 0 };
            assert_eq!(connection.waiting.load(Ordering::Relaxed), counted);
        }
    }
}
