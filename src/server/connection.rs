//! One client connection: TLS, then HTTP/1.1 or HTTP/2 as ALPN has chosen.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt;
use tokio::task::{spawn_local, unconstrained};
use tokio::time::{Instant, sleep, timeout_at};

use super::accepted::Accepted;
use super::handshake::{self, Greeted};
use super::load::RunningRequest;
use super::on_wake::OnWake;
use super::phase::Phase;
use super::share::Share;
use super::stream::Stream;
use super::watch::{BusyGuard, CloseReason, Event, Watch};
use super::worker::Worker;
use crate::body::{Flow, Shown, backlog};
use crate::config::Limits;
use crate::gate::{self, Peer, Reply};

/// How long a connection without a request may take to close after it was asked to.
const CLOSE_GRACE: Duration = Duration::from_secs(1);
/// Most bytes that HTTP/1.1 reads or gathers for writing at once.
const BUFFER: usize = 128 * 1024;
/// Bytes of one HTTP/2 response that wait for the client.
const SEND_BUFFER: usize = 384 * 1024;
/// Most bytes of one HTTP/2 frame of a client. Longer ones cost less. But a frame is progress only
/// when all of it has arrived, so at `limits.min_rate` it must take less than
/// `limits.idle_timeout`: by default 49 of 60 s.
const FRAME: u32 = 24 * 1024;
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// When the client reads slowly, its answer to a ping waits behind megabytes in the kernel's
/// buffers. How slowly it may read is up to `watch`.
const PING_TIMEOUT: Duration = Duration::from_secs(600);
/// hyper and h2 refuse what exceeds their limits without a body and without a log line, so their
/// limits are twice ours.
const SLACK: usize = 2;
/// Room for the ranges of one request, up to 1,023 from podman: they get an answer of their own.
const RANGES: usize = 32 * 1024;

/// How far a connection was served.
enum Served {
    /// To its end.
    Closed,
    /// To a pause between two requests of HTTP/1.1, in which it needs no more than its TLS session.
    Resting,
}

/// What a response holds until it is over.
type Guard = (BusyGuard, RunningRequest);

/// Serves a connection to its end, with the settings that are in force when it starts.
pub(super) async fn serve(worker: &Rc<Worker>, accepted: Accepted) {
    let state = worker.gate.shared.state().clone();
    let limits = &state.config.limits;
    let deadline = Instant::now() + limits.handshake_timeout;
    let greeted = Box::pin(handshake::greet(worker, accepted, &state, deadline)).await;
    let Some(Greeted { client, peer, slot }) = greeted else { return };
    if client.is_challenge() {
        tracing::debug!(peer = %peer.client, "answered an ACME challenge");
        _ = timeout_at(deadline, client.clone().shutdown()).await;
        return;
    }
    // A connection that is opened while draining belongs to a running transfer.
    let closes_at = if *worker.phase.borrow() == Phase::Running { Phase::Draining } else { Phase::Leaving };
    let share = Share::of(slot.crowd());
    let watch = Watch::new(client.meter(), slot, limits, deadline);
    let shared = backlog::Connection::new(client.is_http2());
    let connection =
        Connection { worker, client, peer: Rc::new(peer), watch, share, shared, limits, closes_at };
    if connection.client.is_http2() {
        return Box::pin(connection.serve_http2()).await;
    }
    while let Served::Resting = Box::pin(connection.serve_http1()).await {
        if connection.rest().await.is_break() {
            tracing::debug!(peer = %connection.peer.client, "closed an idle connection while others wait");
            return connection.client.end();
        }
    }
}

/// What belongs to a connection after its handshake.
struct Connection<'a> {
    worker: &'a Rc<Worker>,
    client: Stream,
    peer: Rc<Peer>,
    watch: Rc<Watch>,
    /// What it may have at once with HTTP/2.
    share: Share,
    /// What its requests share.
    shared: Arc<backlog::Connection>,
    limits: &'a Limits,
    /// The phase from which on its client is told to come back on a new one.
    closes_at: Phase,
}

impl Connection<'_> {
    async fn serve_http1(&self) -> Served {
        let service = service_fn(|request| {
            let flow = self.flow(None);
            self.watch.follow(&flow);
            self.answer(request, flow)
        });
        let head = self.largest_head();
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .title_case_headers(true)
            .max_headers(SLACK * self.limits.headers)
            .max_header_size(head)
            .max_buf_size(BUFFER.max(head))
            .serve_connection(TokioIo::new(self.client.clone()), service);
        let shut_down = |connection: Pin<&mut _>| http1::Connection::graceful_shutdown(connection);
        let progress = self.drive(Pin::new(&mut connection), shut_down).await;
        let unread = connection.into_parts().read_buf;
        if !unread.is_empty() {
            self.client.put_back(&unread);
        }
        progress
    }

    async fn serve_http2(&self) {
        let streams = Streams { watch: self.watch.clone(), newest: Rc::default() };
        let newest = streams.newest.clone();
        let service = service_fn(|request| {
            let flow = self.flow(Some(self.client.shown()));
            newest.replace(Some(flow.clone()));
            self.answer(request, flow)
        });
        let head = self.largest_head();
        let connection = http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .max_concurrent_streams(self.share.streams)
            .initial_stream_window_size(self.share.stream_window)
            .initial_connection_window_size(self.share.window)
            .max_frame_size(FRAME)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(head).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(self.client.clone()), service);
        let shut_down = |connection: Pin<&mut _>| http2::Connection::graceful_shutdown(connection);
        self.drive(pin!(connection), shut_down).await;
    }

    /// The phase from which on it closes if it has nothing to do. HTTP/2 can do that without a
    /// loss: GOAWAY says which requests are not answered. With HTTP/1.1, the next answer says
    /// `close`.
    fn ends_at(&self) -> Phase {
        if self.client.is_http2() { self.closes_at } else { Phase::Closing }
    }

    /// Bytes of a request head beyond which hyper and h2 refuse it.
    fn largest_head(&self) -> usize {
        SLACK * self.limits.header_bytes + RANGES
    }

    /// The progress of a new request.
    fn flow(&self, shown: Option<Rc<Shown>>) -> Rc<Flow> {
        Rc::new(Flow::of_connection(self.worker.turns.clone(), &self.shared, shown))
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        flow: Rc<Flow>,
    ) -> impl Future<Output = Result<Response<Reply<Guard>>, Infallible>> + 'static {
        let guard = (self.watch.begin(), RunningRequest::new(&self.worker.load));
        let (worker, peer, watch) = (self.worker.clone(), self.peer.clone(), self.watch.clone());
        let closes_at = self.closes_at;
        // Boxed: it has kilobytes, and hyper moves it several times before it polls it.
        Box::pin(async move {
            let is_http1 = request.version() != Version::HTTP_2;
            let mut response = gate::handle(&worker.gate, &peer, request, flow, guard).await;
            if is_http1 && *worker.phase.borrow() >= closes_at {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if is_http1 {
                worker.field_names.apply(&mut response);
            }
            match response.status() {
                // The client may find the right server on a new connection, but not on this one.
                StatusCode::MISDIRECTED_REQUEST => watch.ask_to_leave(),
                StatusCode::REQUEST_TIMEOUT => watch.stream_stalled(),
                _ => {}
            }
            Ok(response)
        })
    }

    /// Polls a connection until it ends, a time limit of the client expires, or the process stops.
    async fn drive<C>(&self, mut connection: Pin<&mut C>, shut_down: impl Fn(Pin<&mut C>)) -> Served
    where
        C: Future<Output = hyper::Result<()>>,
    {
        // Unconstrained: a client that sends faster than we read would use up the task's budget
        // before each poll of the supervision, and no time limit would ever apply to it.
        let mut supervision = pin!(OnWake::new(unconstrained(self.supervise())));
        let mut shutting_down = false;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = self.poll(connection.as_mut(), cx) {
                    if let Err(error) = result {
                        tracing::debug!(peer = %self.peer.client, %error, "connection failed");
                    }
                    return Poll::Ready(Served::Closed);
                }
                if let Poll::Ready(progress) = supervision.as_mut().poll(cx) {
                    return Poll::Ready(progress);
                }
                if shutting_down || !self.watch.is_closing() {
                    return Poll::Pending;
                }
                shut_down(connection.as_mut());
                shutting_down = true;
            }
        })
        .await
    }

    /// Polls a connection, then sends what it has written.
    fn poll<C>(&self, connection: Pin<&mut C>, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error>>>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        self.peer.polls.set(self.peer.polls.get() + 1);
        let end = connection.poll(cx);
        match (end, self.client.poll_send(cx)) {
            (Poll::Ready(end), _) => Poll::Ready(end.map_err(Into::into)),
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    /// Waits until the connection has to be closed or may rest. Marks it as closing when it is to
    /// close by itself.
    async fn supervise(&self) -> Served {
        let Self { watch, worker, .. } = self;
        let peer = self.peer.client;
        let mut closing = pin!(worker.reached(self.ends_at()));
        let mut cutting = pin!(worker.reached(Phase::Cutting));
        let mut event = pin!(watch.next_event());
        let mut grace = pin!(sleep(Duration::ZERO));
        loop {
            tokio::select! {
                next = event.as_mut() => match next {
                    Event::Rest => return Served::Resting,
                    Event::Close(CloseReason::Idle) => event.set(watch.next_event()),
                    Event::Close(reason) => {
                        tracing::debug!(%peer, ?reason, "connection closed");
                        return Served::Closed;
                    }
                },
                () = closing.as_mut(), if !watch.is_closing() => {}
                () = watch.asked_to_leave(), if !watch.is_closing() => {}
                () = grace.as_mut(), if watch.is_closing() => {
                    // `next_event` judges how slowly the last response is read.
                    if !watch.is_busy() && !watch.is_finishing() {
                        return Served::Closed;
                    }
                    grace.as_mut().reset(Instant::now() + CLOSE_GRACE);
                    continue;
                }
                () = cutting.as_mut() => return Served::Closed,
            }
            watch.mark_closing();
            grace.as_mut().reset(Instant::now() + CLOSE_GRACE);
        }
    }

    /// Waits until a resting connection needs to be served again, or until others need its slot.
    async fn rest(&self) -> ControlFlow<()> {
        // Another request has come together with the last one.
        if self.client.has_unread() {
            return ControlFlow::Continue(());
        }
        self.client.rest();
        tokio::select! {
            () = self.watch.rest() => ControlFlow::Continue(()),
            () = self.worker.reached(self.ends_at()) => ControlFlow::Continue(()),
            () = self.watch.asked_to_leave() => ControlFlow::Break(()),
        }
    }
}

/// Runs the streams of an HTTP/2 connection, each until it is over or the client has not read it
/// for too long. Dropping a stream resets it.
#[derive(Clone)]
struct Streams {
    watch: Rc<Watch>,
    /// The flow of the request that hyper has just passed to the service. hyper has its stream
    /// executed next.
    newest: Rc<RefCell<Option<Rc<Flow>>>>,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, stream: F) {
        let watch = self.watch.clone();
        let flow = self.newest.take();
        // Boxed: h2 keeps the task's waker until the client has taken the last frame, and with it
        // the memory of the task.
        spawn_local(Box::pin(async move {
            match flow {
                Some(flow) => tokio::select! {
                    biased;
                    () = stream => {}
                    () = async {
                        watch.checked().await;
                        watch.stalled(&flow).await;
                        watch.stream_stalled();
                    } => {}
                },
                None => stream.await,
            }
        }));
    }
}
