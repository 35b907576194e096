//! One address of a server.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tokio::sync::Notify;

use super::health::Health;

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// One address of a server, as all workers and the checks know it.
#[derive(Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    pub(crate) health: Health,
    /// Connections of each worker.
    connections: Box<[OfWorker]>,
    /// The name of the server does not have the address any more.
    is_gone: AtomicBool,
    gone: Notify,
}

/// The connections of one worker. Two cache lines, because processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
struct OfWorker {
    active: AtomicI64,
    idle: AtomicI64,
}

/// What a connection is counted as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    /// With a request.
    Active,
    /// Kept for the next one.
    Idle,
}

impl Endpoint {
    pub(super) fn new(address: Address, workers: usize) -> Self {
        Self {
            address,
            health: Health::default(),
            connections: (0..workers.max(1)).map(|_| OfWorker::default()).collect(),
            is_gone: AtomicBool::new(false),
            gone: Notify::new(),
        }
    }

    /// Changes the number of connections of a worker.
    pub(super) fn count(&self, worker: usize, usage: Usage, by: i64) {
        if let Some(count) = self.connections.get(worker) {
            count.of(usage).fetch_add(by, Ordering::Relaxed);
        }
    }

    /// The connections of all workers.
    pub(crate) fn connections(&self, usage: Usage) -> i64 {
        self.connections.iter().map(|count| count.of(usage).load(Ordering::Relaxed)).sum()
    }

    /// Records that the name of the server has other addresses now.
    pub(super) fn leave(&self) {
        self.is_gone.store(true, Ordering::Release);
        self.gone.notify_waiters();
    }

    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Waits until the name of the server has other addresses.
    pub(super) async fn left(&self) {
        let mut left = std::pin::pin!(self.gone.notified());
        left.as_mut().enable();
        if !self.is_gone() {
            left.await;
        }
    }
}

impl OfWorker {
    fn of(&self, usage: Usage) -> &AtomicI64 {
        match usage {
            Usage::Active => &self.active,
            Usage::Idle => &self.idle,
        }
    }
}

impl Address {
    /// IP address and port; `None` for a socket in the file system.
    pub(crate) fn ip(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
