//! The program's own log.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use super::output;
use super::writer::{Name, Writer};
use crate::config::{self, LogFormat};

/// Most bytes that wait to be written.
const QUEUE: usize = 1 << 20;
/// Longest wait for the last lines to be written when the program stops.
const CLOSE: Duration = Duration::from_secs(2);

/// The program's own log, on standard error.
///
/// Like the access log it has a bounded queue and a thread that writes. A thread that serves never
/// waits for a reader, and never sees a failed write.
pub(crate) struct ProgramLog {
    writer: Arc<Writer>,
}

impl ProgramLog {
    /// Starts the thread that writes.
    ///
    /// # Errors
    /// The thread cannot be started, or standard error cannot be used.
    pub(crate) fn start() -> io::Result<Self> {
        let writer = Writer::start(Name::Program, Box::new(|| output::stream(io::stderr())), QUEUE)?;
        Ok(Self { writer: Arc::new(writer) })
    }

    /// Sends events of `tracing`, and panics, to this log.
    pub(crate) fn receive_events(&self, log: &config::Log) {
        let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            // They would be printed on standard error, by whoever serves.
            .log_internal_errors(false)
            .with_writer(Arc::clone(&self.writer));
        // Fails only if the program has started a log already, as tests do.
        _ = match log.format {
            LogFormat::Json => builder.json().flatten_event(true).try_init(),
            LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
        };
        panic::set_hook(Box::new(report));
    }

    /// Writes one message as it is, in no format.
    pub(crate) fn say(&self, message: &impl Display) {
        self.writer.push(format!("{message}\n").as_bytes());
    }

    /// Writes the queued lines, for two seconds at most, and ends the log.
    pub(crate) fn close(self) {
        self.writer.close(CLOSE);
    }
}

/// Takes the place of the standard library's hook, which writes to standard error and waits for
/// its reader.
fn report(panic: &panic::PanicHookInfo<'_>) {
    let thread = thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    let place = panic.location().map(ToString::to_string).unwrap_or_default();
    let message = panic.payload_as_str().unwrap_or("no message");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => tracing::error!(thread, place, "panicked: {message}\n{backtrace}"),
        _ => tracing::error!(thread, place, "panicked: {message}"),
    }
}

impl Write for &Writer {
    /// Queues one event, or drops and counts it. Never fails: the one who logs can do nothing.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.push(event);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
