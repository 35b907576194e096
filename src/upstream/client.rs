//! Requests to the registry, and when they are repeated.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::answer::Answer;
use super::connect::connect;
use super::connection::SendError;
use super::error::UpstreamError;
use super::pool::{Lease, Pool};
use super::server::Destination;
use crate::access::Permit;
use crate::body::{ClientBody, Flow};
use crate::metrics::Counts;
use crate::places::{Place, Places};

/// Requests that all workers together have at the registry. Fewer should ever run at once.
const PLACES: usize = 2048;
/// The same for one worker, at least.
const OF_WORKER: usize = 64;
/// The time between two searches for transfers that can end.
const RETRY: Duration = Duration::from_millis(500);

/// The connections of one worker to the registry.
pub(crate) struct Upstream {
    pool: Pool,
    places: Rc<Places>,
    counts: Arc<Counts>,
}

impl Upstream {
    /// The connections of one of `workers` workers, which counts in `counts`.
    pub(crate) fn new(workers: usize, counts: Arc<Counts>) -> Self {
        let places = Places::new((PLACES / workers.max(1)).max(OF_WORKER));
        Self { pool: Pool::new(counts.clone()), places, counts }
    }

    /// Sends a request and waits for the head of its answer. `request` is in origin-form, with the
    /// framing and the headers that the registry is to see; its body writes to `flow`.
    ///
    /// A request is repeated if not a byte of it was sent. A GET or HEAD is also repeated, once and
    /// on a new connection, if an idle connection ended before the first byte of the answer.
    pub(crate) async fn send(
        &self,
        _permit: &Permit,
        to: &Destination,
        mut request: Request<ClientBody>,
        flow: &Rc<Flow>,
    ) -> Result<Response<Answer>, UpstreamError> {
        to.address(&mut request)
            .map_err(|error| UpstreamError::Connect(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let place = match self.places.take(flow.network()) {
            Some(place) => place,
            None => {
                let waiting = timeout(to.connect_timeout, self.wait_for_place(flow));
                waiting.await.ok().flatten().ok_or(UpstreamError::Busy)?
            }
        };
        flow.sends();
        let server = self.pool.server(to);
        while let Some(mut lease) = server.check_out() {
            let safe = matches!(*request.method(), Method::GET | Method::HEAD);
            let again = safe.then(|| head_of(&request));
            match lease.connection.send(request, flow, to.read_timeout).await {
                Ok(response) => return Ok(answer(response, lease, place, to, flow)),
                Err(SendError::Unsent(unsent)) => {
                    self.counts.upstream_retries.add(1);
                    flow.sends_again();
                    request = *unsent;
                }
                Err(SendError::Sent(error)) => match again
                    .filter(|_| error.is_dead_connection() && !lease.connection.has_begun_answer())
                {
                    Some(head) => {
                        self.counts.upstream_retries.add(1);
                        flow.sends_again();
                        request = head.map(|()| ClientBody::empty(flow.clone()));
                        break;
                    }
                    None => return Err(error.into_upstream(flow)),
                },
            }
        }
        let connection = connect(to).await.inspect_err(|error| self.count_failure(error))?;
        let mut lease = server.lease(connection);
        match lease.connection.send(request, flow, to.read_timeout).await {
            Ok(response) => Ok(answer(response, lease, place, to, flow)),
            Err(SendError::Sent(error)) => Err(error.into_upstream(flow)),
            Err(SendError::Unsent(_)) => Err(UpstreamError::Connect(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn count_failure(&self, error: &UpstreamError) {
        self.counts.upstream_connect_failures.add(1);
        if matches!(error, UpstreamError::Name(_)) {
            self.counts.upstream_resolve_failures.add(1);
        }
    }

    /// Waits for a place while the slowest transfers end, one for each request that waits: only
    /// those of networks that have as many places.
    async fn wait_for_place(&self, flow: &Flow) -> Option<Place> {
        let mut waiting = self.places.queue(flow.network())?;
        loop {
            flow.end_slowest(waiting.count(), |other| waiting.has_no_more_than(other));
            if let Ok(place) = timeout(RETRY, waiting.place()).await {
                return place;
            }
        }
    }

    /// Closes idle connections that have expired or that the registry has closed. To be called
    /// every few seconds.
    pub(crate) fn sweep(&self) {
        self.pool.sweep();
    }
}

fn answer(
    response: Response<Incoming>,
    lease: Lease,
    place: Place,
    to: &Destination,
    flow: &Rc<Flow>,
) -> Response<Answer> {
    response.map(|incoming| Answer::new(incoming, lease, place, to.read_timeout, flow.clone()))
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
