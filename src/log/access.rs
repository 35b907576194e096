//! The access log: one line per request, written when its body has ended.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::writer::{Open, Writer};
use crate::config::{self, AccessFormat, AccessTarget};

/// Bytes that wait for the disk at most; some two or three thousand lines.
const QUEUE: usize = 1 << 20;
/// Longest wait for the last lines when the program stops.
const CLOSE: Duration = Duration::from_secs(5);
/// Rights of a new log file: addresses and user names are not for everybody.
const MODE: u32 = 0o640;

/// What is said about one request. Nothing in it may be a secret: no field but `User-Agent` comes from a
/// header as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// When the request began.
    pub time: SystemTime,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The client behind trusted proxies, else the peer.
    pub client: IpAddr,
    /// The verified user.
    pub user: Option<String>,
    /// The user that he said to be and has not proven to be; only one that there is, for others may be anything, a password too.
    pub claimed: Option<String>,
    /// What the client's certificate calls itself; true unless `reason` says otherwise.
    pub certificate: Option<String>,
    /// The method as sent.
    pub method: String,
    /// The path without its query, which may hold the state of an upload or a token.
    pub path: String,
    /// The protocol of the client's connection.
    pub version: http::Version,
    /// The authority that was asked for.
    pub host: String,
    /// The name of the operation, see [`crate::registry::target::Operation::as_str`].
    pub operation: &'static str,
    /// The repository that the path names.
    pub repository: Option<String>,
    /// Tag, digest or upload id.
    pub reference: Option<String>,
    /// The status that was sent.
    pub status: u16,
    /// Bytes of the request's body that were read.
    pub bytes_in: u64,
    /// Bytes of the answer's body that were handed to the connection.
    pub bytes_out: u64,
    /// From the end of the request's head to the end of the answer's body.
    pub duration: Duration,
    /// The same to the head of the answer.
    pub first_byte: Option<Duration>,
    /// The registry that was asked.
    pub upstream: Option<String>,
    /// The `User-Agent` field, empty when none was sent.
    pub user_agent: String,
    /// Who cut the transfer short.
    pub truncated: Option<Truncated>,
    /// The id of the request.
    pub id: String,
    /// Why tidegate refused it, or left a part of it out; or why the registry did.
    pub reason: Option<&'static str>,
}

/// The end that cut a transfer short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truncated {
    /// The client went away, stalled or sent a broken body.
    Client,
    /// The registry did.
    Upstream,
}

/// The access log. Clones write to the same file; the last one dropped ends it.
///
/// A line goes into a bounded queue that one thread of its own empties, so that a slow disk or a full pipe
/// never holds up a request. Lines that do not fit are dropped, counted, and spoken of in a warning as soon
/// as the log flows again.
#[derive(Clone)]
pub(crate) struct AccessLog {
    /// None when the log is off.
    sink: Option<Sink>,
}

#[derive(Clone)]
struct Sink {
    writer: Arc<Writer>,
    format: AccessFormat,
}

impl AccessLog {
    /// Opens the log and starts its thread; a file is appended to, and made with mode 0640.
    ///
    /// # Errors
    /// When the file cannot be opened or the thread cannot be started.
    pub(crate) fn open(log: &config::Log) -> io::Result<Self> {
        let open: Open = match &log.access {
            AccessTarget::Off => return Ok(Self { sink: None }),
            AccessTarget::Stdout => Box::new(|| Ok(Box::new(io::stdout()))),
            AccessTarget::File(path) => file(path.clone()),
        };
        let writer = Arc::new(Writer::start(open, QUEUE)?);
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

    /// Opens the file anew, after it was renamed by a rotation. Lines handed over before go to the old file.
    /// When that fails, the old one stays in use and a warning says so.
    pub(crate) fn reopen(&self) {
        if let Some(sink) = &self.sink {
            sink.writer.reopen();
        }
    }

    /// Writes out what waits, for five seconds at most, and ends the log; clones that are left write
    /// nothing from then on.
    pub(crate) fn close(self) {
        if let Some(sink) = self.sink
            && !sink.writer.close(CLOSE)
        {
            tracing::warn!("the access log is stuck; its last lines are lost");
        }
    }
}

fn file(path: PathBuf) -> Open {
    fn append(path: &Path) -> io::Result<Box<dyn Write + Send>> {
        let file = OpenOptions::new().append(true).create(true).mode(MODE).open(path)?;
        Ok(Box::new(file))
    }
    Box::new(move || append(&path))
}

#[cfg(test)]
mod tests;
