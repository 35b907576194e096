//! What a worker tells about itself when it is asked.

use tokio::sync::oneshot;

/// The answer of one worker.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Open connections.
    #[allow(dead_code, reason = "read by the status")]
    pub(super) connections: usize,
}

/// A question to a worker, and where it answers.
pub(super) type Question = oneshot::Sender<Report>;

/// What became of a question.
#[derive(Debug)]
pub(super) enum Heard {
    Report(Report),
    /// The worker has ended, as workers do while the process stops.
    Ended,
    /// The worker did not answer in time.
    Nothing,
}
