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

use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep, timeout_at};

use super::on_wake::OnWake;
use super::stream::Stream;
use super::watch::{Busy, Ending, Turn, Watch};
use super::workers::{Core, Counted, Phase};
use crate::body::Flow;
use crate::config::Limits;
use crate::gate::{self, Peer, Reply};
use crate::tls::ServerTls;

/// How long a connection without a request that was asked to end may take for it.
const FAREWELL: Duration = Duration::from_secs(1);
/// Most bytes that HTTP/1.1 reads or gathers for writing at once.
const BUFFER: usize = 128 * 1024;
/// Bytes that a client may send ahead on one HTTP/2 stream, and on all of a connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
/// The connection's is that of many streams: one that may send nothing because others wait for the registry would look idle.
const CONNECTION_WINDOW: u32 = 32 * STREAM_WINDOW;
/// Bytes of one HTTP/2 response that wait for the client.
const SEND_BUFFER: usize = 384 * 1024;
const STREAMS: u32 = 100;
const PING: Duration = Duration::from_secs(30);
/// An answer to a ping waits behind megabytes in the kernel's buffers when the client reads slowly;
/// how slowly it may, `watch` knows.
const PONG: Duration = Duration::from_secs(600);
/// hyper and h2 refuse what is over their limits without a body and without a line in the log, so they
/// get twice ours.
const SLACK: usize = 2;

/// How far a connection was served.
enum End {
    /// To its end.
    Over,
    /// To a pause between two requests: an HTTP/1.1 connection is then no more than its TLS session, and needs no
    /// more memory.
    Rest,
}

/// What a response holds until it is over.
type Guard = (Busy, Counted);

/// Serves a connection to its end. Its settings are those of the moment in which it came.
pub(super) async fn serve(core: &Rc<Core>, socket: std::net::TcpStream, peer: IpAddr) {
    let state = core.gate.shared.state().clone();
    let limits = &state.config.limits;
    let deadline = Instant::now() + limits.handshake_timeout;
    let handshake = timeout_at(deadline, Box::pin(handshake(socket, &state.tls)));
    let (client, asked) = tokio::select! {
        accepted = handshake => match accepted {
            Ok(Ok(accepted)) => accepted,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS handshake"),
            Err(_elapsed) => return tracing::debug!(%peer, "no TLS handshake within limits.handshake_timeout"),
        },
        () = reached(core, Phase::Closing) => return,
    };
    // A connection that came after the process began to drain belongs to a transfer that is still running.
    let leaves_at = if *core.phase.borrow() == Phase::Running { Phase::Draining } else { Phase::Closing };
    let watch = Watch::new(client.meter(), limits, deadline);
    let peer = Rc::new(Peer { address: peer, asked, shown: client.shown() });
    let connection = Connection { core, client, peer, watch, limits, leaves_at };
    if connection.client.is_http2() {
        return Box::pin(connection.serve_http2()).await;
    }
    while let End::Rest = Box::pin(connection.serve_http1()).await {
        connection.rest().await;
    }
}

async fn handshake(socket: std::net::TcpStream, tls: &ServerTls) -> io::Result<(Stream, bool)> {
    let socket = TcpStream::from_std(socket)?;
    socket.set_nodelay(true)?;
    Stream::accept(socket, tls).await
}

/// Waits until the process is on its way to its end, at least so far.
async fn reached(core: &Core, phase: Phase) {
    // The sender lives as long as the process.
    _ = core.phase.clone().wait_for(|now| *now >= phase).await;
}

/// What belongs to a connection after its handshake.
struct Connection<'a> {
    core: &'a Rc<Core>,
    client: Stream,
    peer: Rc<Peer>,
    watch: Rc<Watch>,
    limits: &'a Limits,
    /// When it has to end with the request it has.
    leaves_at: Phase,
}

impl Connection<'_> {
    async fn serve_http1(&self) -> End {
        let service = service_fn(|request| {
            let flow = Rc::new(Flow::new(self.core.turns.clone()));
            self.watch.follow(&flow);
            self.answer(request, flow)
        });
        let mut connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_headers(SLACK * self.limits.headers)
            .max_header_size(SLACK * self.limits.header_bytes)
            .max_buf_size(BUFFER.max(SLACK * self.limits.header_bytes))
            .serve_connection(TokioIo::new(self.client.clone()), service);
        let end = |connection: Pin<&mut _>| http1::Connection::graceful_shutdown(connection);
        let end = self.drive(Pin::new(&mut connection), end, FAREWELL).await;
        let unread = connection.into_parts().read_buf;
        if !unread.is_empty() {
            self.client.unread(&unread);
        }
        end
    }

    async fn serve_http2(&self) {
        let streams = Streams { watch: self.watch.clone(), newest: Rc::default() };
        let newest = streams.newest.clone();
        let service = service_fn(|request| {
            let flow = Rc::new(Flow::new(self.core.turns.clone()));
            newest.replace(Some(flow.clone()));
            self.answer(request, flow)
        });
        let connection = http2::Builder::new(streams)
            .timer(TokioTimer::new())
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .max_concurrent_streams(STREAMS)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(SLACK * self.limits.header_bytes).unwrap_or(u32::MAX))
            .serve_connection(TokioIo::new(self.client.clone()), service);
        let end = |connection: Pin<&mut _>| http2::Connection::graceful_shutdown(connection);
        self.drive(pin!(connection), end, self.limits.idle_timeout).await;
    }

    fn answer(
        &self,
        request: Request<Incoming>,
        flow: Rc<Flow>,
    ) -> impl Future<Output = Result<Response<Reply<Guard>>, Infallible>> + 'static {
        let guard = (self.watch.begin(), Counted::new(&self.core.load));
        let (gate, peer, watch) = (self.core.gate.clone(), self.peer.clone(), self.watch.clone());
        async move {
            let response = gate::handle(gate, &peer, request, flow, guard).await;
            if response.status() == StatusCode::MISDIRECTED_REQUEST {
                // A client that would ask again here gets a new connection instead, which may be the right one.
                watch.tell();
            }
            Ok(response)
        }
    }

    /// Polls a connection until it ends by itself, the client fails to do its part, or the process ends. `tail` is how
    /// long an answered connection may go on sending when it has no request left.
    async fn drive<C>(&self, mut connection: Pin<&mut C>, end: impl Fn(Pin<&mut C>), tail: Duration) -> End
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let mut supervision = pin!(OnWake::new(self.supervise(tail)));
        let mut ending = false;
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(result) = self.poll(connection.as_mut(), cx) {
                    if let Err(error) = result {
                        tracing::debug!(peer = %self.peer.address, %error, "connection failed");
                    }
                    return Poll::Ready(End::Over);
                }
                if let Poll::Ready(end) = supervision.as_mut().poll(cx) {
                    return Poll::Ready(end);
                }
                if ending || !self.watch.is_told() {
                    return Poll::Pending;
                }
                end(connection.as_mut());
                ending = true;
            }
        })
        .await
    }

    /// Polls a connection, and sends what it has written meanwhile.
    fn poll<C>(&self, connection: Pin<&mut C>, cx: &mut Context<'_>) -> Poll<Result<(), Box<dyn Error>>>
    where
        C: Future<Output = hyper::Result<()>>,
    {
        let end = connection.poll(cx);
        match (end, self.client.poll_send(cx)) {
            (Poll::Ready(end), _) => Poll::Ready(end.map_err(Into::into)),
            (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Err(error.into())),
            (Poll::Pending, _) => Poll::Pending,
        }
    }

    /// Waits until the connection has to be cut or may rest, and tells `watch` when it is to end by itself.
    async fn supervise(&self, tail: Duration) -> End {
        let Self { watch, core, .. } = self;
        let peer = self.peer.address;
        let mut called = pin!(reached(core, self.leaves_at));
        let mut cut = pin!(reached(core, Phase::Cutting));
        let mut turn = pin!(watch.turn());
        let mut farewell = pin!(sleep(Duration::ZERO));
        loop {
            tokio::select! {
                turned = turn.as_mut() => match turned {
                    Turn::Rest => return End::Rest,
                    Turn::End(Ending::Quiet) => turn.set(watch.turn()),
                    Turn::End(reason) => {
                        tracing::debug!(%peer, ?reason, "connection ended");
                        return End::Over;
                    }
                },
                () = called.as_mut(), if !watch.is_told() => {}
                () = farewell.as_mut(), if watch.is_told() => {
                    if !watch.is_busy() {
                        return End::Over;
                    }
                    farewell.as_mut().reset(Instant::now() + FAREWELL);
                    continue;
                }
                () = cut.as_mut() => return End::Over,
            }
            watch.tell();
            let patience = if watch.has_answered() { tail.max(FAREWELL) } else { FAREWELL };
            farewell.as_mut().reset(Instant::now() + patience);
        }
    }

    /// Waits until something is to be done for a connection between two requests.
    async fn rest(&self) {
        tokio::select! {
            () = self.watch.rest() => {}
            () = reached(self.core, self.leaves_at) => {}
        }
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
