//! Requests to the registry, and when they are repeated.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::answer::Answer;
use super::balance::Destination;
use super::connect::connect;
use super::connection::SendError;
use super::endpoint::Endpoint;
use super::error::UpstreamError;
use super::health::UpstreamFault;
use super::outgoing::Outgoing;
use super::pool::{EndpointPool, Lease, Pool};
use super::server::Server;
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
/// The longest wait for a look-up that may bring another address, where the request fails
/// otherwise.
const LOOK_UP: Duration = Duration::from_millis(200);

/// The connections of one worker to all registries.
pub(crate) struct Upstream {
    pool: Pool,
    places: Rc<Places>,
    /// Tells every worker that somebody waits for a connection.
    wanted: watch::Sender<()>,
    /// Requests so far.
    turn: Cell<usize>,
}

/// What a request needs at every address.
struct Attempt<'a> {
    to: Destination<'a>,
    flow: &'a Rc<Flow>,
    /// When it was last to be sent.
    begun: Instant,
    /// Whether it was sent again, because a reused connection had ended before the first byte.
    is_repeated: bool,
}

/// How the attempt at one address ended without an answer.
enum Failed {
    /// The registry may have seen a part of the request, or it was sent twice.
    Sent(UpstreamError),
    /// No byte was sent.
    Unreachable(Outgoing, UpstreamError),
}

impl Upstream {
    /// The connections of one of `workers` workers, which counts in `counts`. `wanted` is shared by
    /// all workers.
    pub(crate) fn new(workers: usize, counts: &Counts, wanted: watch::Sender<()>) -> Self {
        let places = Places::new((PLACES / workers.max(1)).max(OF_WORKER));
        let worker = counts.worker;
        Self { pool: Pool::new(worker), places, wanted, turn: Cell::new(worker) }
    }

    /// Sends a request and waits for the head of its answer. `request` is in origin-form, with the
    /// framing and the headers that the registry is to see; its body writes to `flow`. It is boxed,
    /// as it passes through several futures.
    ///
    /// As long as no byte of a request was sent, it goes to the next address. A GET or HEAD is also
    /// repeated, once and on a new connection, if an idle connection ended before the first byte of
    /// the answer. Nothing else is sent twice.
    pub(crate) async fn send(
        &self,
        _permit: &Permit,
        to: Destination<'_>,
        mut request: Box<Request<ClientBody>>,
        flow: &Rc<Flow>,
    ) -> Result<Response<Answer>, UpstreamError> {
        to.registry
            .address(&mut request)
            .map_err(|error| UpstreamError::Connect(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let place = match self.places.take(flow.network()) {
            Some(place) => place,
            None => {
                let waiting = timeout(to.registry.connect_timeout, self.wait_for_place(flow));
                waiting.await.ok().flatten().ok_or(UpstreamError::Busy)?
            }
        };
        let begun = Instant::now();
        flow.sends(begun);
        let mut request = Outgoing::new(*request);
        let mut attempt = Attempt { to, flow, begun, is_repeated: false };
        let deadline = begun + to.registry.connect_timeout;
        let turn = self.turn.replace(self.turn.get().wrapping_add(1));
        let (mut tried, mut failure): (Vec<Arc<Endpoint>>, _) = (Vec::new(), None);
        loop {
            let Some(pick) = to.pick(turn, &tried) else {
                if failure.is_none() {
                    flow.goes_to(&to.registry.name, None);
                }
                if !Box::pin(self.may_have_more(to, &tried, deadline)).await? {
                    return Err(give_up(to, failure));
                }
                continue;
            };
            let pool = self.pool.of(pick.server, &pick.endpoint);
            let address = pick.endpoint.address.ip().filter(|_| pick.server.is_named);
            flow.goes_to(&pick.server.name, address);
            match self.attempt(&mut attempt, &pool, request, deadline, tried.len()).await {
                Ok((response, lease)) => {
                    judge(&pool, response.status(), pick.is_down);
                    let read_timeout = to.registry.read_timeout;
                    return Ok(response.map(|()| Answer::new(lease, place, read_timeout, flow.clone())));
                }
                Err(Failed::Sent(error)) => {
                    if !matches!(error, UpstreamError::Client(_)) {
                        note_failure(&pool, &error);
                    }
                    return Err(error);
                }
                Err(Failed::Unreachable(unsent, error)) => {
                    // A server without a free connection is not to blame.
                    if !matches!(error, UpstreamError::Full) {
                        pool.server.counts.connect_failures.increment();
                        note_unreachable(&pool, &error);
                    }
                    request = unsent;
                    tried.push(pick.endpoint);
                    failure = Some(error);
                    attempt.begun = Instant::now();
                }
            }
        }
    }

    /// Waits for an address that was not tried yet, where one may turn up. Returns whether one may
    /// have.
    async fn may_have_more(
        &self,
        to: Destination<'_>,
        tried: &[Arc<Endpoint>],
        deadline: Instant,
    ) -> Result<bool, UpstreamError> {
        let servers = to.servers();
        if servers.iter().all(|server| server.endpoints().is_empty()) {
            return first_address(servers, deadline).await;
        }
        let deadline = deadline.min(Instant::now() + LOOK_UP);
        for server in servers.iter().filter(|server| server.is_named) {
            server.next_addresses(deadline).await;
            // Without this, the caller would come back at once, and forever.
            if to.pick(0, tried).is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sends a request to one address, over idle connections as long as they take nothing, else
    /// over a new one.
    async fn attempt(
        &self,
        attempt: &mut Attempt<'_>,
        pool: &Rc<EndpointPool>,
        mut request: Outgoing,
        deadline: Instant,
        tried: usize,
    ) -> Result<(Response<()>, Lease), Failed> {
        let (to, flow) = (attempt.to, attempt.flow);
        let read_timeout = to.registry.read_timeout;
        while !attempt.is_repeated
            && let Some(mut lease) = pool.check_out()
        {
            let again = request.again();
            match lease.connection.send(request, flow, attempt.begun, read_timeout).await {
                Ok(response) => return Ok((response, lease)),
                Err(SendError::Unsent(unsent)) => request = unsent,
                Err(SendError::Sent(error)) => {
                    let is_dead = error.is_dead_connection() && !lease.connection.has_begun_answer();
                    match again.filter(|_| is_dead) {
                        Some(again) => {
                            attempt.is_repeated = true;
                            request = again;
                        }
                        None => return Err(Failed::Sent(error.into_upstream(flow))),
                    }
                }
            }
            pool.server.counts.retries.increment();
            flow.sends_again();
            attempt.begun = Instant::now();
        }
        let untried = to.servers().iter().map(|server| server.endpoints().len()).sum::<usize>();
        let shares = u32::try_from(untried.saturating_sub(tried).max(1)).unwrap_or(u32::MAX);
        let now = Instant::now();
        let deadline = now + deadline.saturating_duration_since(now) / shares;
        // Boxed: it is rare and long, and every request would carry its memory about.
        let mut lease = match Box::pin(self.open(pool, deadline)).await {
            Ok(lease) => lease,
            Err(error) => return Err(Failed::Unreachable(request, error)),
        };
        match lease.connection.send(request, flow, Instant::now(), read_timeout).await {
            Ok(response) => Ok((response, lease)),
            Err(SendError::Sent(error)) => Err(Failed::Sent(error.into_upstream(flow))),
            Err(SendError::Unsent(unsent)) => {
                let reset = UpstreamError::Connect(io::ErrorKind::ConnectionReset.into());
                Err(Failed::Unreachable(unsent, reset))
            }
        }
    }

    /// Opens a connection until `deadline`. Takes one that becomes idle, if none may be opened.
    async fn open(&self, pool: &Rc<EndpointPool>, deadline: Instant) -> Result<Lease, UpstreamError> {
        let permit = pool.permit(|| self.wanted.send_replace(()));
        match timeout_at(deadline, permit).await {
            Ok(Some(Ok(lease))) => Ok(lease),
            Ok(Some(Err(permit))) => {
                let connection = connect(&pool.server, &pool.endpoint, deadline).await?;
                Ok(pool.lease(Box::new(connection), permit))
            }
            Ok(None) | Err(_) => Err(UpstreamError::Full),
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

    /// Waits until a request at any worker waits for a connection, and closes idle ones that may be
    /// in its way.
    pub(crate) async fn give_up_idle(&self) {
        let mut wanted = self.wanted.subscribe();
        while wanted.changed().await.is_ok() {
            self.pool.give_up();
        }
    }
}

/// Waits until one of the servers has an address, until `deadline`.
async fn first_address(servers: &[Arc<Server>], deadline: Instant) -> Result<bool, UpstreamError> {
    let waits = servers.iter().map(|server| Some(Box::pin(server.first_address(deadline))));
    let (mut waits, mut failure): (Vec<_>, _) = (waits.collect(), None);
    poll_fn(|cx| {
        for wait in &mut waits {
            match wait.as_mut().map(|wait| wait.as_mut().poll(cx)) {
                Some(Poll::Ready(Ok(()))) => return Poll::Ready(Ok(true)),
                Some(Poll::Ready(Err(error))) => (*wait, failure) = (None, Some(error)),
                Some(Poll::Pending) | None => {}
            }
        }
        if waits.iter().any(Option::is_some) {
            return Poll::Pending;
        }
        Poll::Ready(failure.take().map_or(Ok(false), Err))
    })
    .await
}

/// The error of a request that no address has taken.
fn give_up(to: Destination<'_>, failure: Option<UpstreamError>) -> UpstreamError {
    match failure {
        Some(UpstreamError::Full) => UpstreamError::Full,
        Some(failure) if !to.has_choice() => failure,
        failure => UpstreamError::AllDown(failure.map(Box::new)),
    }
}

/// What an answer says about the health of its address.
fn judge(pool: &EndpointPool, status: StatusCode, was_down: bool) {
    let health = &pool.endpoint.health;
    if matches!(
        status,
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT
    ) {
        let fault = || UpstreamFault::of_answer(status);
        if health.failed(fault) {
            pool.is_down(&fault());
        }
    } else if health.answered(was_down) {
        pool.is_up();
    }
}

/// A request was sent and has no answer.
fn note_failure(pool: &EndpointPool, error: &UpstreamError) {
    let (health, fault) = (&pool.endpoint.health, || UpstreamFault::of_error(error));
    let is_down = match error {
        UpstreamError::Vanished => health.unreachable(fault()),
        _ => health.failed(fault),
    };
    if is_down {
        pool.is_down(&fault());
    }
    if matches!(error, UpstreamError::Vanished | UpstreamError::Closed(_)) {
        pool.server.want_attention();
    }
}

/// There is no connection.
fn note_unreachable(pool: &EndpointPool, error: &UpstreamError) {
    let fault = UpstreamFault::of_error(error);
    if pool.endpoint.health.unreachable(fault.clone()) {
        pool.is_down(&fault);
    }
    pool.server.want_attention();
}
