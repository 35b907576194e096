//! The queue of the audit log, and the thread that writes it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;

use super::super::text::rfc_3339;
use super::file::AuditFile;
use super::numbers::Numbers;

/// Most bytes that wait to be written.
const QUEUE: usize = 1 << 20;
/// Bytes of a batch that does not wait for more lines.
const BATCH: usize = QUEUE / 4;
/// How long a line that nobody waits for may wait for others, to save a wake-up for each.
const GATHER: Duration = Duration::from_millis(20);
/// How often errors are reported at most.
const REPORT: Duration = Duration::from_secs(60);
/// What an entry of the queue takes beside its line.
const OVERHEAD: usize = 64;

/// Opens the file; called at the start and at every reopening.
pub(super) type Open = Box<dyn FnMut() -> io::Result<AuditFile> + Send>;

/// Hears whether something was done.
type Done = oneshot::Sender<bool>;

/// Numbers lines and writes them from one thread.
///
/// A line gets its number with its place in the queue, so the order in the file is that of the
/// numbers. A line that finds no room, or that cannot be written, has used up its number.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    queue: Mutex<Queue>,
    /// There is something to do.
    wake: Condvar,
    /// The thread has ended.
    ended: Condvar,
    lost: AtomicU64,
    /// Somebody has waited for the thread in vain, and it has done nothing since.
    stuck: AtomicBool,
}

#[derive(Default)]
struct Queue {
    entries: VecDeque<Queued>,
    bytes: usize,
    numbers: Numbers,
    /// Lines that found no room since the thread last looked.
    dropped: u64,
    /// The thread is not to wait for more entries.
    urgent: bool,
    closing: bool,
    ended: bool,
}

enum Queued {
    Line(String, Option<Done>),
    Check(Done),
    Reopen,
}

impl Writer {
    /// Opens the file and starts the thread.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub(super) fn start(mut open: Open, numbers: Numbers) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { numbers, ..Queue::default() }),
            wake: Condvar::new(),
            ended: Condvar::new(),
            lost: AtomicU64::new(0),
            stuck: AtomicBool::new(false),
        });
        let out = Out { file: open()?, open, broken: false, reported: None, unreported: 0 };
        let ending = Ending(shared.clone());
        thread::Builder::new().name("audit".to_owned()).spawn(move || {
            let ending = ending;
            ending.0.run(out);
        })?;
        Ok(Self { shared })
    }

    /// Numbers and queues a line, which is an object without `time` and `seq`. `done` hears whether
    /// it was written. Without room the line is lost.
    pub(super) fn push(&self, rest: &str, done: Option<Done>) {
        let mut queue = self.shared.lock();
        if queue.closing {
            return;
        }
        let seq = queue.numbers.next();
        let bytes = queue.bytes + rest.len() + OVERHEAD;
        if queue.ended || bytes > QUEUE {
            queue.dropped += 1;
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let fills = queue.bytes < BATCH && bytes >= BATCH;
        queue.bytes = bytes;
        let time = rfc_3339(SystemTime::now());
        let line = format!("{{\"time\":\"{time}\",\"seq\":{seq},{}\n", rest.trim_start_matches('{'));
        let is_urgent = done.is_some() || fills;
        self.shared.add(queue, Queued::Line(line, done), is_urgent);
    }

    /// Has another process number its lines with these. See [`Numbers::share`].
    pub(super) fn share_numbers(&self) -> io::Result<OwnedFd> {
        self.shared.lock().numbers.share()
    }

    /// `done` hears, after the lines before this, whether they were written and the next ones have
    /// room.
    pub(super) fn check(&self, done: Done) {
        let mut queue = self.shared.lock();
        if !queue.closing && !queue.ended && !self.is_stuck() && queue.bytes + OVERHEAD <= QUEUE {
            queue.bytes += OVERHEAD;
            self.shared.add(queue, Queued::Check(done), true);
        }
    }

    /// Opens the file again after the lines queued so far are written.
    pub(super) fn reopen(&self) {
        self.shared.add(self.shared.lock(), Queued::Reopen, true);
    }

    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.shared.stuck.load(Ordering::Relaxed)
    }

    /// Nobody is to wait for the thread before it has done something.
    pub(super) fn set_stuck(&self) {
        if !self.shared.stuck.swap(true, Ordering::Relaxed) {
            tracing::error!("the audit log is stuck; requests do not wait for their lines until it goes on");
        }
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
        queue.ended = true;
        // Nobody waits for a thread that has panicked.
        queue.entries.clear();
        self.0.ended.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, mut queue: MutexGuard<'_, Queue>, entry: Queued, is_urgent: bool) {
        let wakes = queue.entries.is_empty() || is_urgent && !queue.urgent;
        queue.urgent |= is_urgent;
        queue.entries.push_back(entry);
        drop(queue);
        if wakes {
            self.wake.notify_one();
        }
    }

    fn run(&self, mut out: Out) {
        loop {
            let idle = |queue: &mut Queue| queue.entries.is_empty() && !queue.closing;
            let queue = self.wake.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            let gathers = |queue: &mut Queue| !queue.urgent && !queue.closing && queue.bytes < BATCH;
            let wait = self.wake.wait_timeout_while(queue, GATHER, gathers);
            let (mut queue, _) = wait.unwrap_or_else(PoisonError::into_inner);
            let entries = std::mem::take(&mut queue.entries);
            let dropped = std::mem::take(&mut queue.dropped);
            let closing = queue.closing;
            (queue.bytes, queue.urgent) = (0, false);
            drop(queue);

            for entry in entries {
                let lost = out.deal_with(entry);
                self.lost.fetch_add(lost, Ordering::Relaxed);
                self.stuck.store(false, Ordering::Relaxed);
            }
            out.dropped(dropped);
            if closing {
                return;
            }
        }
    }
}

/// The file and its state.
struct Out {
    file: AuditFile,
    open: Open,
    /// The last line was not written.
    broken: bool,
    /// When an error was last reported.
    reported: Option<Instant>,
    /// Lines that were lost since.
    unreported: u64,
}

impl Out {
    /// Returns the number of lines that were lost.
    fn deal_with(&mut self, entry: Queued) -> u64 {
        match entry {
            Queued::Line(line, done) => {
                let is_written = self.write(line.as_bytes());
                // Nobody hears it if the client has left.
                _ = done.map(|done| done.send(is_written));
                u64::from(!is_written)
            }
            Queued::Check(done) => {
                _ = done.send(self.has_room());
                0
            }
            Queued::Reopen => {
                self.reopen();
                0
            }
        }
    }

    fn write(&mut self, line: &[u8]) -> bool {
        match self.file.write(line) {
            Ok(()) => {
                if std::mem::take(&mut self.broken) {
                    let lines = std::mem::take(&mut self.unreported);
                    tracing::warn!(lines, "the audit log is written again; lines were lost");
                }
                true
            }
            Err(error) => {
                self.broken = true;
                self.unreported += 1;
                let lines = self.unreported;
                if self.may_report() {
                    tracing::error!(%error, lines, "cannot write the audit log; lines are lost until it works again");
                    self.unreported = 0;
                }
                false
            }
        }
    }

    fn has_room(&mut self) -> bool {
        if self.broken {
            return false;
        }
        match self.file.reserve() {
            Ok(()) => true,
            Err(error) => {
                if self.may_report() {
                    tracing::error!(%error, "the audit log has no room for the next lines");
                }
                false
            }
        }
    }

    fn reopen(&mut self) {
        match (self.open)() {
            Ok(file) => self.file = file,
            Err(error) => {
                tracing::warn!(%error, "cannot reopen the audit log; the old file stays in use");
            }
        }
    }

    /// Reports lines that found no room.
    fn dropped(&mut self, lines: u64) {
        self.unreported += lines;
        if lines > 0 && self.may_report() {
            let lines = std::mem::take(&mut self.unreported);
            tracing::error!(lines, "the audit log could not keep up; lines were lost");
        }
    }

    fn may_report(&mut self) -> bool {
        let may = self.reported.is_none_or(|last| last.elapsed() >= REPORT);
        if may {
            self.reported = Some(Instant::now());
        }
        may
    }
}
