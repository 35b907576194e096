//! Idle connections, kept for the next request to the same server under the same settings.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::connection::Connection;
use super::server::Destination;
use crate::metrics::{Counts, Gauge};

/// Idle connections kept per server, by each worker.
const IDLE_CONNECTIONS: usize = 64;
/// How long an idle connection is kept. Registries close theirs later than this.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// The idle connections of one worker. A list, because there are few servers: comparing their
/// addresses costs less than hashing one.
#[derive(Default)]
pub(super) struct Pool {
    servers: RefCell<Vec<Rc<ServerPool>>>,
    counts: Arc<Counts>,
}

impl Pool {
    pub(super) fn new(counts: Arc<Counts>) -> Self {
        Self { counts, ..Self::default() }
    }

    /// The connections to one server that were made under the settings of `to`.
    pub(super) fn server(&self, to: &Destination) -> Rc<ServerPool> {
        let mut servers = self.servers.borrow_mut();
        if let Some(known) = servers.iter().find(|server| server.made_for.shares_connections_with(to)) {
            return known.clone();
        }
        let counts = self.counts.clone();
        let new = Rc::new(ServerPool { made_for: to.clone(), idle: RefCell::default(), counts });
        servers.push(new.clone());
        new
    }

    /// Closes the connections that have expired or that their server has closed, and forgets
    /// servers without a connection.
    pub(super) fn sweep(&self) {
        self.servers.borrow_mut().retain(|server| {
            server.idle.borrow_mut().retain_mut(Idle::is_usable);
            !server.idle.borrow().is_empty() || Rc::strong_count(server) > 1
        });
    }
}

/// The idle connections to one server, the one used last at the end.
pub(super) struct ServerPool {
    made_for: Destination,
    idle: RefCell<VecDeque<Idle>>,
    counts: Arc<Counts>,
}

struct Idle {
    connection: Connection,
    since: Instant,
    _counted: Counted,
}

/// Counts an open connection, or an idle one, until it is dropped.
struct Counted {
    counts: Arc<Counts>,
    gauge: fn(&Counts) -> &Gauge,
}

impl Counted {
    fn new(counts: &Arc<Counts>, gauge: fn(&Counts) -> &Gauge) -> Self {
        gauge(counts).change(1);
        Self { counts: counts.clone(), gauge }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.gauge)(&self.counts).change(-1);
    }
}

impl Idle {
    fn is_usable(&mut self) -> bool {
        self.since.elapsed() < IDLE_TIME && self.connection.is_usable()
    }
}

impl ServerPool {
    /// An idle connection; `None` when there is none that can be used.
    pub(super) fn check_out(self: &Rc<Self>) -> Option<Lease> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut candidate) = idle.pop_back() {
            if candidate.is_usable() {
                return Some(self.lease(candidate.connection));
            }
        }
        None
    }

    /// The lease of a new connection to this server.
    pub(super) fn lease(self: &Rc<Self>, connection: Connection) -> Lease {
        let counted = Counted::new(&self.counts, |counts| &counts.upstream_active);
        Lease { connection, pool: self.clone(), _counted: counted }
    }
}

/// A connection in use. Dropping it closes the connection.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pool: Rc<ServerPool>,
    _counted: Counted,
}

impl Lease {
    /// Keeps the connection for the next request, after the answer was read to its end. When too
    /// many are idle, the one unused for longest is closed.
    pub(super) fn check_in(mut self) {
        if !self.connection.is_usable() {
            return;
        }
        let mut idle = self.pool.idle.borrow_mut();
        if idle.len() == IDLE_CONNECTIONS {
            idle.pop_front();
        }
        let counted = Counted::new(&self.pool.counts, |counts| &counts.upstream_idle);
        idle.push_back(Idle { connection: self.connection, since: Instant::now(), _counted: counted });
    }
}

#[cfg(test)]
mod tests;
