//! The access log: one line per request, written when its body has ended.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::output;
use super::record::Record;
use super::writer::{Name, Open, Writer};
use crate::config::{self, AccessFormat, AccessTarget};

/// Most bytes that wait to be written: two or three thousand lines.
const QUEUE: usize = 1 << 20;
/// Longest wait for the last lines to be written when the program stops.
const CLOSE: Duration = Duration::from_secs(2);

/// The access log. Clones write to the same file; the last one dropped ends it.
///
/// A line goes into a bounded queue. A separate thread writes it, so that a slow disk or a full
/// pipe never delays a request. Lines that do not fit are dropped and counted; a warning reports
/// them as soon as the log can be written again.
#[derive(Clone)]
pub(crate) struct AccessLog {
    /// `None` when the log is off.
    sink: Option<Sink>,
}

#[derive(Clone)]
struct Sink {
    writer: Arc<Writer>,
    format: AccessFormat,
}

impl AccessLog {
    /// Opens the log and starts its thread. A file is appended to, or created with mode 0640.
    ///
    /// # Errors
    /// The file cannot be opened, or the thread cannot be started.
    pub(crate) fn open(log: &config::Log) -> io::Result<Self> {
        let open: Open = match &log.access {
            AccessTarget::Off => return Ok(Self { sink: None }),
            AccessTarget::Stdout => Box::new(|| output::stream(io::stdout())),
            AccessTarget::File(path) => {
                let path = path.clone();
                Box::new(move || output::file(&path))
            }
        };
        let writer = Arc::new(Writer::start(Name::Access, open, QUEUE)?);
        Ok(Self { sink: Some(Sink { writer, format: log.access_format }) })
    }

    /// Writes one line, or drops it when the queue is full. Never waits.
    pub(crate) fn write(&self, record: &Record) {
        if let Some(Sink { writer, format }) = &self.sink {
            let mut line = match format {
                AccessFormat::Json => record.json(),
                AccessFormat::Combined => record.combined(),
            };
            line.push('\n');
            writer.push(line.as_bytes());
        }
    }

    /// Lines lost since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.sink.as_ref().map_or(0, |sink| sink.writer.lost())
    }

    /// Opens the file again, after a rotation has renamed it. Lines queued before this go to the
    /// old file. On failure the old file stays in use, and a warning is logged.
    pub(crate) fn reopen(&self) {
        if let Some(sink) = &self.sink {
            sink.writer.reopen();
        }
    }

    /// Writes the queued lines, for two seconds at most, and ends the log: clones write nothing
    /// from then on.
    pub(crate) fn close(self) {
        if let Some(sink) = self.sink
            && !sink.writer.close(CLOSE)
        {
            tracing::warn!("the access log is stuck; its last lines are lost");
        }
    }
}

#[cfg(test)]
mod tests;
