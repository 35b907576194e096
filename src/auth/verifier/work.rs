//! What a verifier has done, for those who watch it.

use crate::metrics::Observed;

/// What a verifier has done.
#[derive(Debug)]
pub(crate) struct Work {
    /// Passwords that were answered from memory.
    pub hits: u64,
    /// Passwords that had to be computed.
    pub misses: u64,
    /// Passwords that wait for a thread.
    pub queued: usize,
    /// Most that may wait.
    pub queue_limit: usize,
    /// How long computations took.
    pub seconds: Observed,
}
