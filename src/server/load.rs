//! How much each worker has to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The counters of one worker. Its thread writes them, all threads may read them.
#[derive(Debug, Default)]
pub(super) struct Load {
    connections: AtomicUsize,
    requests: AtomicUsize,
    total_requests: AtomicUsize,
}

impl Load {
    /// Open connections.
    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Running requests.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Requests since the start of the process.
    pub(super) fn total_requests(&self) -> usize {
        self.total_requests.load(Ordering::Relaxed)
    }
}

/// Counts one open connection until it is dropped.
#[derive(Debug)]
pub(super) struct OpenConnection(Arc<Load>);

impl OpenConnection {
    pub(super) fn new(load: &Arc<Load>) -> Self {
        load.connections.fetch_add(1, Ordering::Relaxed);
        Self(load.clone())
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts one running request until it is dropped.
#[derive(Debug)]
pub(super) struct RunningRequest(Arc<Load>);

impl RunningRequest {
    pub(super) fn new(load: &Arc<Load>) -> Self {
        load.requests.fetch_add(1, Ordering::Relaxed);
        load.total_requests.fetch_add(1, Ordering::Relaxed);
        Self(load.clone())
    }
}

impl Drop for RunningRequest {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}
