//! A queue of log lines, and the thread that writes them.

use std::cell::Cell;
use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long the first line of a batch of the access log waits for others. A wake-up and a system
/// call for each line would cost more than the request that it reports.
const GATHER: Duration = Duration::from_millis(20);

/// Opens the output; called at the start and at every reopening.
pub(super) type Open = Box<dyn FnMut() -> io::Result<Box<dyn Write + Send>> + Send>;

thread_local! {
    /// Whether this thread writes a log.
    static WRITES: Cell<bool> = const { Cell::new(false) };
}

/// A log of the process, for messages about it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// The program's own log. It cannot report that it is broken before it works again.
    Program,
    Access,
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Self::Program => "tidegate's own log",
            Self::Access => "the access log",
        }
    }

    /// How long the first line of a batch waits for others. Lines of the program's own log are
    /// rare, and people wait for them.
    fn gathers(self) -> Duration {
        match self {
            Self::Program => Duration::ZERO,
            Self::Access => GATHER,
        }
    }
}

/// Takes lines from any number of threads and writes them from one. When dropped, the thread writes
/// the queued lines and ends.
///
/// A thread that pushes never waits for the output, whatever state it is in.
///
/// The queue is one buffer that the thread swaps for an empty one: a line costs a copy, and a batch
/// of lines one system call.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// There are lines to write, or a reopening or the end is asked for.
    wake: Condvar,
    /// The thread has ended.
    ended: Condvar,
    /// Most bytes that may be queued, beside the batch being written. The threads that write logs
    /// may queue twice as much, so that what they say about lost lines is not lost itself.
    capacity: usize,
    /// Lines lost since the start.
    lost: AtomicU64,
}

#[derive(Default)]
struct Queue {
    lines: Vec<u8>,
    /// Lines that found the queue full since the thread last looked.
    dropped: u64,
    /// A reopening is asked for: how many of the queued bytes belong to the old output.
    reopen: Option<usize>,
    closing: bool,
    ended: bool,
}

impl Writer {
    /// Lines lost since the start.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// Opens the output and starts the thread. Up to `capacity` bytes are queued while another such
    /// batch is written.
    ///
    /// # Errors
    /// The output cannot be opened, or the thread cannot be started.
    pub(super) fn start(name: Name, mut open: Open, capacity: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            wake: Condvar::new(),
            ended: Condvar::new(),
            capacity,
            lost: AtomicU64::new(0),
        });
        let out = Out { name, to: open()?, open, broken: false, midline: false, lost: 0 };
        let ending = Ending(Arc::clone(&shared));
        thread::Builder::new().name("log".to_owned()).spawn(move || {
            WRITES.set(true);
            let ending = ending;
            ending.0.run(out);
        })?;
        Ok(Self { shared })
    }

    /// Queues one line, including its line feed, or drops and counts it. Returns whether it was
    /// queued.
    pub(super) fn push(&self, line: &[u8]) -> bool {
        let mut queue = self.shared.lock();
        if queue.ended || (queue.closing && !WRITES.get()) {
            return false;
        }
        let length = queue.lines.len() + line.len();
        if length > self.shared.capacity && !(WRITES.get() && length <= 2 * self.shared.capacity) {
            queue.dropped += 1;
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        let before = queue.lines.len();
        queue.lines.extend_from_slice(line);
        let filled = before < self.shared.batch() && queue.lines.len() >= self.shared.batch();
        drop(queue);
        if before == 0 || filled {
            self.shared.wake.notify_one();
        }
        true
    }

    /// Opens the output again after the lines queued so far are written.
    pub(super) fn reopen(&self) {
        let mut queue = self.shared.lock();
        let waiting = queue.lines.len();
        queue.reopen.get_or_insert(waiting);
        drop(queue);
        self.shared.wake.notify_one();
    }

    /// Refuses further lines and waits until the queued ones are written. Returns false if that
    /// took longer than `limit`.
    pub(super) fn close(&self, limit: Duration) -> bool {
        self.end();
        let wait = self.shared.ended.wait_timeout_while(self.shared.lock(), limit, |queue| !queue.ended);
        wait.unwrap_or_else(PoisonError::into_inner).0.ended
    }

    fn end(&self) {
        self.shared.lock().closing = true;
        self.shared.wake.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Reports the end of the thread, even after a panic.
struct Ending(Arc<Shared>);

impl Drop for Ending {
    fn drop(&mut self) {
        let mut queue = self.0.lock();
        queue.closing = true;
        queue.ended = true;
        self.0.ended.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Bytes of a batch that does not wait for more lines.
    fn batch(&self) -> usize {
        self.capacity / 4
    }

    fn run(&self, mut out: Out) {
        let mut batch = Vec::new();
        loop {
            let idle = |queue: &mut Queue| queue.lines.is_empty() && queue.reopen.is_none() && !queue.closing;
            let queue = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            let gathers = |queue: &mut Queue| {
                queue.lines.len() < self.batch() && queue.reopen.is_none() && !queue.closing
            };
            let wait = self.wake.wait_timeout_while(queue, out.name.gathers(), gathers);
            let (mut queue, _) = wait.unwrap_or_else(PoisonError::into_inner);
            batch.clear();
            std::mem::swap(&mut batch, &mut queue.lines);
            let (dropped, reopen, closing) =
                (std::mem::take(&mut queue.dropped), queue.reopen.take(), queue.closing);
            drop(queue);

            let (before, after) = batch.split_at(reopen.unwrap_or(0).min(batch.len()));
            let lost = out.write(before);
            if reopen.is_some() {
                out.reopen();
            }
            self.lost.fetch_add(lost + out.write(after), Ordering::Relaxed);
            out.dropped(dropped);
            // What the thread itself had to say may be queued by now.
            if closing && self.lock().lines.is_empty() {
                return;
            }
        }
    }
}

/// The output and its state. A warning is logged when errors begin and when they are over.
struct Out {
    name: Name,
    to: Box<dyn Write + Send>,
    open: Open,
    broken: bool,
    /// A failed write left half a line.
    midline: bool,
    /// Lines lost since writes began to fail.
    lost: u64,
}

impl Out {
    fn reopen(&mut self) {
        match (self.open)() {
            Ok(to) => {
                self.to = to;
                self.midline = false;
            }
            Err(error) => {
                tracing::warn!(%error, "cannot reopen {}; the old file stays in use", self.name.as_str());
            }
        }
    }

    /// Reports lines that found the queue full: now, or when the log is written again.
    fn dropped(&mut self, lines: u64) {
        if self.broken {
            self.lost += lines;
        } else if lines > 0 {
            tracing::warn!(lines, "{} could not keep up; lines were dropped", self.name.as_str());
        }
    }

    /// Writes lines. Returns how many were lost.
    fn write(&mut self, lines: &[u8]) -> u64 {
        if lines.is_empty() {
            return 0;
        }
        match self.try_write(lines) {
            Ok(()) if self.broken => {
                let name = self.name.as_str();
                tracing::warn!(lines = self.lost, "{name} is written again; lines were lost");
                (self.broken, self.lost) = (false, 0);
                0
            }
            Ok(()) => 0,
            Err((error, rest)) => {
                let lost = rest.iter().filter(|&&byte| byte == b'\n').count() as u64;
                self.lost += lost;
                if !self.broken && self.name == Name::Access {
                    tracing::warn!(%error, "cannot write the access log; lines are lost until it works again");
                }
                self.broken = true;
                lost
            }
        }
    }

    /// Writes all of `lines`. On an error, returns what was not written.
    fn try_write<'a>(&mut self, lines: &'a [u8]) -> Result<(), (io::Error, &'a [u8])> {
        if self.midline {
            self.to.write_all(b"\n").map_err(|error| (error, lines))?;
            self.midline = false;
        }
        let mut rest = lines;
        while !rest.is_empty() {
            match self.to.write(rest) {
                Ok(0) => return Err((io::ErrorKind::WriteZero.into(), rest)),
                Ok(written) => {
                    self.midline = rest[..written].last() != Some(&b'\n');
                    rest = &rest[written..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err((error, rest)),
            }
        }
        self.to.flush().map_err(|error| (error, rest))
    }
}

#[cfg(test)]
mod tests;
