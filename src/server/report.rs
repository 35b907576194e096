//! What a worker tells about itself when it is asked.

use tokio::sync::oneshot;

use crate::gate::{RecentRefusal, RunningTransfer};

/// The answer of one worker.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The transfers that have run for longest.
    pub(super) transfers: Vec<RunningTransfer>,
    /// The number of all running transfers.
    pub(super) running: usize,
    /// The latest refusals.
    pub(super) refusals: Vec<RecentRefusal>,
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
