//! The audit log: who changed and fetched what, who was refused, and what happened to tidegate
//! itself. One line per event, numbered without a gap.

mod entry;
mod file;
mod numbers;
mod writer;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::system::uname;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::config;
pub(crate) use entry::{Authentication, Entry, Event, Outcome};
use file::AuditFile;
use numbers::Numbers;
use writer::Writer;

/// Longest wait for the last lines to be written when the program stops.
const CLOSE: Duration = Duration::from_secs(2);
/// Longest wait of a request for its line. An answer is not held back for a disk that hangs.
const PATIENCE: Duration = Duration::from_secs(5);

/// The audit log. Clones write to the same file.
///
/// A thread of its own writes the lines, each with one `write`. A line that is lost leaves a gap in
/// the numbers, is counted, and is reported in tidegate's own log.
#[derive(Clone)]
pub(crate) struct AuditLog {
    /// `None` when the log is off.
    sink: Option<Arc<Sink>>,
}

struct Sink {
    writer: Writer,
    /// The name of this host.
    node: String,
}

impl AuditLog {
    /// Opens the log and starts its thread. The file is appended to, or created with mode 0640. The
    /// lines get `numbers` of another process that writes them too, or begin with 1.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub(crate) fn open(log: &config::Log, numbers: Option<OwnedFd>) -> io::Result<Self> {
        let Some(path) = log.audit.clone() else { return Ok(Self { sink: None }) };
        let numbers = numbers.map_or(Ok(Numbers::default()), Numbers::of)?;
        let writer = Writer::start(Box::new(move || AuditFile::open(&path)), numbers)?;
        let node = uname().nodename().to_string_lossy().into_owned();
        Ok(Self { sink: Some(Arc::new(Sink { writer, node })) })
    }

    /// What another process needs to number its lines with ours. `None` when the log is off.
    pub(crate) fn share_numbers(&self) -> io::Result<Option<OwnedFd>> {
        self.sink.as_ref().map(|sink| sink.writer.share_numbers()).transpose()
    }

    pub(crate) fn is_on(&self) -> bool {
        self.sink.is_some()
    }

    /// Queues a line. Never waits.
    pub(crate) fn write(&self, entry: &Entry<'_>) {
        if let Some(Sink { writer, node }) = self.sink.as_deref() {
            writer.push(&entry.rest_of_line(node), None);
        }
    }

    /// Queues a line at once. The future waits until it is in the file or lost, for five seconds at
    /// most.
    pub(crate) fn write_now<'a>(&'a self, entry: &Entry<'_>) -> impl Future<Output = ()> + use<'a> {
        let written = self.sink.as_deref().map(|Sink { writer, node }| {
            let (done, written) = oneshot::channel();
            writer.push(&entry.rest_of_line(node), Some(done));
            (writer, written)
        });
        async {
            if let Some((writer, written)) = written {
                answered(writer, written).await;
            }
        }
    }

    /// Whether the lines so far have been written, and there is room for the next ones. Waits for
    /// five seconds at most.
    pub(crate) async fn is_writable(&self) -> bool {
        let Some(Sink { writer, .. }) = self.sink.as_deref() else { return true };
        let (done, checked) = oneshot::channel();
        writer.check(done);
        answered(writer, checked).await
    }

    /// Opens the file again, after a rotation has renamed it. Lines queued before this go to the
    /// old file. On failure the old file stays in use, and a warning is logged.
    pub(crate) fn reopen(&self) {
        if let Some(sink) = &self.sink {
            sink.writer.reopen();
        }
    }

    /// The lines that were lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.sink.as_ref().map_or(0, |sink| sink.writer.lost())
    }

    /// Writes the queued lines, for two seconds at most, and ends the log: clones write nothing
    /// from then on.
    pub(crate) fn close(self) {
        if self.sink.is_some_and(|sink| !sink.writer.close(CLOSE)) {
            tracing::warn!("the audit log is stuck; its last lines are lost");
        }
    }
}

/// What the thread says, or false if it says nothing for [`PATIENCE`]. Nobody else waits then,
/// until the thread goes on.
async fn answered(writer: &Writer, answer: oneshot::Receiver<bool>) -> bool {
    if writer.is_stuck() {
        return false;
    }
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.unwrap_or(false),
        Err(_elapsed) => {
            writer.set_stuck();
            false
        }
    }
}

#[cfg(test)]
mod tests;
