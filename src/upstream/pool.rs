//! Idle connections, kept for the next request to the same address.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::{Notify, OwnedSemaphorePermit};
use tokio::time::Instant;

use super::connection::Connection;
use super::endpoint::{Endpoint, Usage};
use super::health::UpstreamFault;
use super::server::Server;

/// Idle connections kept per address, by each worker: more than the streams of one client, which
/// all end at once.
const IDLE_CONNECTIONS: usize = 128;
/// How long an idle connection is kept. Registries close theirs later than this.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// The idle connections of one worker. A list, because there are few addresses.
#[derive(Default)]
pub(super) struct Pool {
    endpoints: RefCell<Vec<Rc<EndpointPool>>>,
    worker: usize,
}

impl Pool {
    /// That of the worker with this number.
    pub(super) fn new(worker: usize) -> Self {
        Self { worker, endpoints: RefCell::default() }
    }

    /// The connections to one address of a server.
    pub(super) fn of(&self, server: &Arc<Server>, endpoint: &Arc<Endpoint>) -> Rc<EndpointPool> {
        let mut endpoints = self.endpoints.borrow_mut();
        if let Some(known) = endpoints.iter().find(|known| Arc::ptr_eq(&known.endpoint, endpoint)) {
            return known.clone();
        }
        let new = Rc::new(EndpointPool {
            server: server.clone(),
            endpoint: endpoint.clone(),
            worker: self.worker,
            idle: RefCell::default(),
            returned: Notify::new(),
            waiting: Cell::new(0),
        });
        endpoints.push(new.clone());
        new
    }

    /// Closes the connections that have expired, that their server has closed, or whose address is
    /// gone or down, and forgets addresses without a connection.
    pub(super) fn sweep(&self) {
        self.endpoints.borrow_mut().retain(|pool| {
            // Another worker may have found out that it is down: its checks need the permits.
            let is_kept = !pool.endpoint.is_gone() && !pool.endpoint.health.is_down();
            pool.change(|idle| idle.retain_mut(|idle| is_kept && idle.is_usable()));
            !pool.idle.borrow().is_empty() || Rc::strong_count(pool) > 1
        });
    }

    /// Closes idle connections to servers that have no more for those who wait.
    pub(super) fn give_up(&self) {
        for pool in self.endpoints.borrow().iter() {
            let waiting = pool.server.waiting();
            pool.change(|idle| drop(idle.drain(..waiting.min(idle.len()))));
        }
    }
}

/// The connections of one worker to one address. The idle one used last is at the end.
pub(super) struct EndpointPool {
    pub(super) server: Arc<Server>,
    pub(super) endpoint: Arc<Endpoint>,
    worker: usize,
    idle: RefCell<VecDeque<Idle>>,
    /// Tells those of this worker who wait that a connection is idle.
    returned: Notify,
    waiting: Cell<usize>,
}

struct Idle {
    connection: Box<Connection>,
    permit: OwnedSemaphorePermit,
    since: Instant,
}

impl Idle {
    fn is_usable(&mut self) -> bool {
        self.since.elapsed() < IDLE_TIME && self.connection.is_usable()
    }
}

impl EndpointPool {
    /// An idle connection; `None` when there is none that can be used.
    pub(super) fn check_out(self: &Rc<Self>) -> Option<Lease> {
        let mut found = None;
        self.change(|idle| {
            while let Some(mut candidate) = idle.pop_back() {
                if candidate.is_usable() {
                    found = Some(candidate);
                    break;
                }
            }
        });
        let Idle { connection, permit, .. } = found?;
        Some(self.lease(connection, permit))
    }

    /// The lease of a new connection to this address.
    pub(super) fn lease(self: &Rc<Self>, connection: Box<Connection>, permit: OwnedSemaphorePermit) -> Lease {
        Lease { connection, permit, active: Active::new(self) }
    }

    /// The right to open a connection, or an idle connection if one is returned first. `None` if
    /// too many wait. `ask` tells all workers that somebody waits.
    pub(super) async fn permit(
        self: &Rc<Self>,
        ask: impl FnOnce(),
    ) -> Option<Result<Lease, OwnedSemaphorePermit>> {
        if let Some(permit) = self.server.try_permit() {
            return Some(Err(permit));
        }
        let _waiting = WaitingHere::new(&self.waiting);
        let mut permit = pin!(self.server.permit());
        // The first poll counts it among those who wait, so that `ask` finds it.
        if let Poll::Ready(permit) = poll_fn(|cx| Poll::Ready(permit.as_mut().poll(cx))).await {
            return permit.map(Err);
        }
        ask();
        loop {
            tokio::select! {
                permit = permit.as_mut() => return permit.map(Err),
                () = self.returned.notified() => if let Some(lease) = self.check_out() {
                    return Some(Ok(lease));
                }
            }
        }
    }

    /// The address has just gone down. Connections that are idle are probably dead, and the next
    /// request must not find out.
    pub(super) fn is_down(&self, fault: &UpstreamFault) {
        self.change(VecDeque::clear);
        self.server.went_down(&self.endpoint, fault);
    }

    /// The address is up again.
    pub(super) fn is_up(&self) {
        self.server.came_up(&self.endpoint);
    }

    fn change(&self, change: impl FnOnce(&mut VecDeque<Idle>)) {
        let mut idle = self.idle.borrow_mut();
        let before = idle.len();
        change(&mut idle);
        let after = idle.len();
        if after != before {
            self.endpoint.count(self.worker, Usage::Idle, after as i64 - before as i64);
        }
    }
}

impl Drop for EndpointPool {
    fn drop(&mut self) {
        self.change(VecDeque::clear);
    }
}

struct WaitingHere<'a>(&'a Cell<usize>);

impl<'a> WaitingHere<'a> {
    fn new(waiting: &'a Cell<usize>) -> Self {
        waiting.set(waiting.get() + 1);
        Self(waiting)
    }
}

impl Drop for WaitingHere<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Counts a connection with a request until it is dropped.
struct Active(Rc<EndpointPool>);

impl Active {
    fn new(pool: &Rc<EndpointPool>) -> Self {
        pool.endpoint.count(pool.worker, Usage::Active, 1);
        Self(pool.clone())
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.0.endpoint.count(self.0.worker, Usage::Active, -1);
    }
}

/// A connection in use. Dropping it closes the connection.
pub(super) struct Lease {
    pub(super) connection: Box<Connection>,
    permit: OwnedSemaphorePermit,
    active: Active,
}

impl Lease {
    /// Keeps the connection for the next request, after the answer was read to its end. When too
    /// many are idle, the one unused for longest is closed.
    pub(super) fn check_in(self) {
        let Self { mut connection, permit, active } = self;
        let pool = &active.0;
        let is_waited_for = pool.waiting.get() > 0;
        // Somebody at another worker waits for the right to open one.
        let is_wanted = !is_waited_for && pool.server.waiting() > 0;
        if is_wanted || pool.endpoint.is_gone() || !connection.is_usable() {
            return;
        }
        pool.change(|idle| {
            if idle.len() == IDLE_CONNECTIONS {
                idle.pop_front();
            }
            idle.push_back(Idle { connection, permit, since: Instant::now() });
        });
        if is_waited_for {
            pool.returned.notify_one();
        }
    }
}

#[cfg(test)]
mod tests;
