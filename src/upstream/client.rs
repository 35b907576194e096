//! Requests to the registry, and when they are repeated.

use std::cell::RefCell;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::Answer;
use super::connect::connect;
use super::connection::{Connection, SendError};
use super::error::UpstreamError;
use super::pool::{Lease, Pool};
use super::server::Destination;
use crate::access::Permit;
use crate::body::{ClientBody, Flow};
use crate::network::Network;

/// Open connections of all workers together. Fewer requests should ever run at once.
const CONNECTIONS: usize = 2048;
/// Open connections of one worker, at least.
const OF_WORKER: usize = 64;
/// Requests of a worker that wait for a connection. One network has at most half of the places.
const WAITING: usize = 256;
/// The time between two searches for transfers that can end.
const RETRY: Duration = Duration::from_millis(500);

/// The connections of one worker to the registry.
pub(crate) struct Upstream {
    pool: Pool,
    permits: Arc<Semaphore>,
    /// The networks of the requests that wait for a permit.
    waiting: RefCell<Vec<Network>>,
}

impl Upstream {
    /// The connections of one of `workers` workers.
    pub(crate) fn new(workers: usize) -> Self {
        let connections = (CONNECTIONS / workers.max(1)).max(OF_WORKER);
        Self {
            pool: Pool::default(),
            permits: Arc::new(Semaphore::new(connections)),
            waiting: RefCell::default(),
        }
    }

    /// Sends a request and waits for the head of its answer. `request` is in origin-form, with the
    /// framing and the headers that the registry is to see; its body writes to `flow`.
    ///
    /// A request is repeated if not a byte of it was sent. A GET or HEAD is also repeated, once and
    /// on a new connection, if an idle connection ended before the whole head of the answer.
    pub(crate) async fn send(
        &self,
        _permit: &Permit,
        to: &Destination,
        mut request: Request<ClientBody>,
        flow: &Rc<Flow>,
    ) -> Result<Response<Answer>, UpstreamError> {
        to.address(&mut request)
            .map_err(|error| UpstreamError::Connect(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let server = self.pool.server(to);
        while let Some(mut lease) = server.check_out() {
            let safe = matches!(*request.method(), Method::GET | Method::HEAD);
            let again = safe.then(|| head_of(&request));
            match lease.connection.send(request, flow, to.read_timeout).await {
                Ok(response) => return Ok(answer(response, lease, to, flow)),
                Err(SendError::Unsent(unsent)) => request = *unsent,
                Err(SendError::Sent(error)) => match again.filter(|_| error.is_dead_connection()) {
                    Some(head) => {
                        request = head.map(|()| ClientBody::empty(flow.clone()));
                        break;
                    }
                    None => return Err(error.into_upstream(flow)),
                },
            }
        }
        let connecting = connect(to, &self.permits);
        let connection = if self.permits.available_permits() > 0 {
            connecting.await?
        } else {
            self.make_room(flow, connecting).await?
        };
        let mut lease = server.lease(connection);
        match lease.connection.send(request, flow, to.read_timeout).await {
            Ok(response) => Ok(answer(response, lease, to, flow)),
            Err(SendError::Sent(error)) => Err(error.into_upstream(flow)),
            Err(SendError::Unsent(_)) => Err(UpstreamError::Connect(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// Waits for a connection while the slowest transfers end, one for each request that waits.
    async fn make_room(
        &self,
        flow: &Flow,
        connecting: impl Future<Output = Result<Connection, UpstreamError>>,
    ) -> Result<Connection, UpstreamError> {
        let _place = self.wait(flow.network()).ok_or(UpstreamError::Busy)?;
        self.pool.close_oldest();
        let mut connecting = pin!(connecting);
        loop {
            flow.end_slowest(self.waiting.borrow().len());
            if let Ok(result) = timeout(RETRY, connecting.as_mut()).await {
                return result;
            }
        }
    }

    /// A place among the requests that wait for a connection.
    fn wait(&self, network: Network) -> Option<Place<'_>> {
        let mut waiting = self.waiting.borrow_mut();
        let own = waiting.iter().filter(|other| **other == network).count();
        if own >= WAITING / 2 || waiting.len() >= WAITING {
            return None;
        }
        waiting.push(network);
        Some(Place { waiting: &self.waiting, network })
    }

    /// Closes idle connections that have expired or that the registry has closed. To be called
    /// every few seconds.
    pub(crate) fn sweep(&self) {
        self.pool.sweep();
    }
}

/// The place of a request that waits for a connection.
struct Place<'a> {
    waiting: &'a RefCell<Vec<Network>>,
    network: Network,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(own) = waiting.iter().position(|network| *network == self.network) {
            waiting.swap_remove(own);
        }
    }
}

fn answer(response: Response<Incoming>, lease: Lease, to: &Destination, flow: &Rc<Flow>) -> Response<Answer> {
    response.map(|incoming| Answer::new(incoming, lease, to.read_timeout, flow.clone()))
}

/// A copy of a request that has no body.
fn head_of(request: &Request<ClientBody>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}
