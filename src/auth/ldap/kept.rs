//! Connections of one kind that are kept for the next login.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;

/// How long an unused connection is kept. What stands between may forget a longer one silently.
const LONGEST: Duration = Duration::from_secs(60);

/// No more connections than there are logins at once.
pub(super) struct Kept {
    most: usize,
    connections: Mutex<Vec<(Connection, Instant)>>,
}

impl Kept {
    pub(super) fn new(most: usize) -> Self {
        Self { most, connections: Mutex::new(Vec::new()) }
    }

    /// The connection that was used last, unless its server has closed it.
    pub(super) fn take(&self) -> Option<Connection> {
        let now = Instant::now();
        loop {
            let (mut connection, since) = self.connections().pop()?;
            if now.saturating_duration_since(since) < LONGEST && connection.is_idle() {
                return Some(connection);
            }
        }
    }

    /// Keeps a connection whose last operation has ended.
    pub(super) fn keep(&self, connection: Connection) {
        let mut connections = self.connections();
        if connections.len() < self.most {
            connections.push((connection, Instant::now()));
        }
    }

    /// Closes all.
    pub(super) fn clear(&self) {
        let closed = std::mem::take(&mut *self.connections());
        drop(closed);
    }

    fn connections(&self) -> MutexGuard<'_, Vec<(Connection, Instant)>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
