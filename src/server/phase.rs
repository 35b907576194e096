//! How far the process is on its way to its end.

/// The phases of the process, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// The process was not asked to stop.
    Running,
    /// Existing connections close after their current request. New ones are still accepted, for
    /// clients in the middle of a transfer.
    Draining,
    /// Another process accepts the connections. Clients are told to come back on a new one, and
    /// connections that have nothing to do stay open: closing one could meet its next request.
    Leaving,
    /// No connection is accepted, and every connection closes after its current request.
    Closing,
    /// Every connection is closed at once.
    Cutting,
}
