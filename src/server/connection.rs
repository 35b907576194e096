//! One client connection: TLS, then HTTP/1.1 or HTTP/2 as ALPN has chosen.

use std::cell::RefCell;
use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::meter::Metered;
use super::on_wake::OnWake;
use super::stream::Stream;
use super::watch::{Busy, Ending, Watch};
use super::workers::{Core, Counted, Phase};
use crate::body::Flow;
use crate::config::Limits;
use crate::gate::{self, Reply};

/// How long a connection without a request that was asked to end may take for it.
const FAREWELL: Duration = Duration::from_secs(1);
/// Most bytes that HTTP/1.1 reads or gathers for writing at once.
const BUFFER: usize = 128 * 1024;
/// Bytes that a client may send ahead on one HTTP/2 stream, and on all of a connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The connection's is that of many streams: one that may send nothing because others wait for the registry would look idle.
const CONNECTION_WINDOW: u32 = 32 * STREAM_WINDOW;
/// Bytes of one HTTP/2 response that wait for the client.
const SEND_BUFFER: usize = 64 * 1024;
const STREAMS: u32 = 100;
const PING: Duration = Duration::from_secs(30);
/// An answer to a ping waits behind megabytes in the kernel's buffers when the client reads slowly;
/// how slowly it may, `watch` knows.
const PONG: Duration = Duration::from_secs(600);
/// hyper and h2 refuse what is over their limits without a body and without a line in the log, so they
/// get twice ours.
const SLACK: usize = 2;

/// What a response holds until it is over.
type Guard = (Busy, Counted);

/// Serves a connection to its end. Its settings are those of the moment in which it came.
pub(super) async fn serve(core: &Rc<Core>, socket: std::net::TcpStream, peer: IpAddr) {
    let state = core.gate.shared.state().clone();
    let limits = &state.config.limits;
    let deadline = Instant::now() + limits.handshake_timeout;
    let acceptor = TlsAcceptor::from(state.tls.config.clone());
    let handshake = timeout_at(deadline, handshake(socket, acceptor));
    let stream = tokio::select! {
        stream = handshake => match stream {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS handshake"),
            Err(_elapsed) => return tracing::debug!(%peer, "no TLS handshake within limits.handshake_timeout"),
        },
        () = reached(core, Phase::Closing) => return,
    };
    let client = Stream::new(stream);
    let watch = Watch::new(client.meter(), limits, deadline);
    if client.is_http2() {
        serve_http2(core, client, peer, watch, limits).await;
    } else {
        serve_http1(core, client, peer, watch, limits).await;
    }
}

async fn handshake(socket: std::net::TcpStream, acceptor: TlsAcceptor) -> io::Result<TlsStream<Metered>> {
    let socket = TcpStream::from_std(socket)?;
    socket.set_nodelay(true)?;
    acceptor.accept(Metered::new(socket)).await
}

/// Waits until the process is on its way to its end, at least so far.
async fn reached(core: &Core, phase: Phase) {
    // The sender lives as long as the process.
    _ = core.phase.clone().wait_for(|now| *now >= phase).await;
}

async fn serve_http1(core: &Rc<Core>, client: Stream, peer: IpAddr, watch: Rc<Watch>, limits: &Limits) {
    let service = service_fn(|request| {
        let flow = Rc::new(Flow::default());
        watch.follow(&flow);
        answer(core, &watch, peer, request, flow)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .max_headers(SLACK * limits.headers)
        .max_header_size(SLACK * limits.header_bytes)
        .max_buf_size(BUFFER.max(SLACK * limits.header_bytes))
        .serve_connection(TokioIo::new(client.clone()), service);
    drive(connection, |connection| connection.graceful_shutdown(), &client, FAREWELL, &watch, core, peer)
        .await;
}

async fn serve_http2(core: &Rc<Core>, client: Stream, peer: IpAddr, watch: Rc<Watch>, limits: &Limits) {
    let streams = Streams { watch: watch.clone(), newest: Rc::default() };
    let newest = streams.newest.clone();
    let service = service_fn(|request| {
        let flow = Rc::new(Flow::default());
        newest.replace(Some(flow.clone()));
        answer(core, &watch, peer, request, flow)
    });
    let connection = http2::Builder::new(streams)
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG)
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(SLACK * limits.header_bytes).unwrap_or(u32::MAX))
        .serve_connection(TokioIo::new(client.clone()), service);
    drive(
        connection,
        |connection| connection.graceful_shutdown(),
        &client,
        limits.idle_timeout,
        &watch,
        core,
        peer,
    )
    .await;
}

fn answer(
    core: &Core,
    watch: &Rc<Watch>,
    peer: IpAddr,
    request: Request<Incoming>,
    flow: Rc<Flow>,
) -> impl Future<Output = Result<Response<Reply<Guard>>, Infallible>> + 'static {
    let guard = (watch.begin(), Counted::new(&core.load));
    let gate = core.gate.clone();
    async move { Ok(gate::handle(gate, peer, request, flow, guard).await) }
}

/// Polls a connection until it ends by itself, the client fails to do its part, or the process ends. `tail` is how
/// long an answered connection may go on sending when it has no request left.
async fn drive<C>(
    connection: C,
    end: impl Fn(Pin<&mut C>),
    client: &Stream,
    tail: Duration,
    watch: &Watch,
    core: &Core,
    peer: IpAddr,
) where
    C: Future<Output = hyper::Result<()>>,
{
    let mut connection = pin!(connection);
    let mut supervision = pin!(OnWake::new(supervise(tail, watch, core, peer)));
    let mut ending = false;
    poll_fn(|cx| {
        loop {
            if let Poll::Ready(result) = poll_and_send(connection.as_mut(), client, cx) {
                if let Err(error) = result {
                    tracing::debug!(%peer, %error, "connection failed");
                }
                return Poll::Ready(());
            }
            if supervision.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if ending || !watch.is_told() {
                return Poll::Pending;
            }
            end(connection.as_mut());
            ending = true;
        }
    })
    .await;
}

/// Waits until a connection has to be cut, and tells `watch` when it is to end by itself.
async fn supervise(tail: Duration, watch: &Watch, core: &Core, peer: IpAddr) {
    // A connection that came after the process began to drain belongs to a transfer that is still running.
    let enough = if *core.phase.borrow() == Phase::Running { Phase::Draining } else { Phase::Closing };
    let mut called = pin!(reached(core, enough));
    let mut cut = pin!(reached(core, Phase::Cutting));
    let mut ending = pin!(watch.ending());
    let mut farewell = pin!(sleep(Duration::ZERO));
    loop {
        tokio::select! {
            reason = ending.as_mut() => match reason {
                Ending::Quiet => ending.set(watch.ending()),
                Ending::Stalled | Ending::Gone => return tracing::debug!(%peer, ?reason, "connection ended"),
            },
            () = called.as_mut(), if !watch.is_told() => {}
            () = farewell.as_mut(), if watch.is_told() => {
                if !watch.is_busy() {
                    return;
                }
                farewell.as_mut().reset(Instant::now() + FAREWELL);
                continue;
            }
            () = cut.as_mut() => return,
        }
        watch.tell();
        let patience = if watch.has_answered() { tail.max(FAREWELL) } else { FAREWELL };
        farewell.as_mut().reset(Instant::now() + patience);
    }
}

/// Polls a connection, and sends what it has written meanwhile.
fn poll_and_send<C>(
    connection: Pin<&mut C>,
    client: &Stream,
    cx: &mut Context<'_>,
) -> Poll<Result<(), Box<dyn Error>>>
where
    C: Future<Output = hyper::Result<()>>,
{
    let end = connection.poll(cx)?;
    match client.poll_send(cx)? {
        Poll::Ready(()) | Poll::Pending => end.map(Ok),
    }
}

/// Runs the streams of an HTTP/2 connection, each until it is over or its client has let it lie for
/// too long; dropping a stream resets it.
#[derive(Clone)]
struct Streams {
    watch: Rc<Watch>,
    /// The account of the request that hyper has just handed to the service; it asks for the
    /// stream to be run next.
    newest: Rc<RefCell<Option<Rc<Flow>>>>,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + 'static,
{
    fn execute(&self, stream: F) {
        let watch = self.watch.clone();
        let flow = self.newest.take();
        spawn_local(async move {
            match flow {
                Some(flow) => tokio::select! {
                    () = stream => {}
                    () = watch.stalled(&flow) => {}
                },
                None => stream.await,
            }
        });
    }
}
