//! One connection to the admin listener.

use std::cell::Cell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use super::access::Peer;
use super::answer::answer;
use super::body::AnswerBody;
use super::patient::Patient;
use super::server::AdminServer;
use crate::server::slots::Slot;

/// Longest wait for the first request head.
const FIRST_HEAD: Duration = Duration::from_secs(10);
/// Longest wait for every later one: longer than the minute between two scrapes.
const NEXT_HEAD: Duration = Duration::from_secs(90);
/// How long a connection that was asked to leave may take to send its last bytes.
const LEAVE: Duration = Duration::from_secs(1);
/// Most bytes of a request head.
const HEAD: usize = 16 * 1024;
const FIELDS: usize = 64;

/// Answers the requests of a connection.
pub(super) async fn serve<S>(server: Rc<AdminServer>, socket: S, peer: Peer, slot: Slot)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut end = server.end();
    let usage = Rc::new(Usage { slot, running: Cell::new(0), is_new: Cell::new(true) });
    let service = service_fn(|request| {
        let running = usage.begin();
        let server = &server;
        async move {
            let response = answer(server, &request, peer).await;
            tracing::debug!(?peer, path = request.uri().path(), status = response.status().as_u16(), "admin");
            Ok::<_, Infallible>(response.map(|body| Counted { body, _running: running }))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(NEXT_HEAD)
        .max_headers(FIELDS)
        .max_header_size(HEAD)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(Patient::new(socket)), service);
    let mut connection = pin!(connection);
    let mut first_head = pin!(sleep(FIRST_HEAD));
    let mut leave = pin!(async {
        tokio::select! {
            () = usage.slot.asked_to_leave() => {}
            _ = end.wait_for(|end| *end) => {}
        }
    });
    let (mut is_leaving, mut has_had_time) = (false, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(?peer, %error, "a connection to the admin listener has failed");
                }
                return;
            }
            () = leave.as_mut(), if !is_leaving => {
                is_leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = sleep(LEAVE), if is_leaving => {
                if usage.running.get() == 0 {
                    return;
                }
            }
            () = first_head.as_mut(), if !has_had_time => {
                has_had_time = true;
                if usage.is_new.get() {
                    return tracing::debug!(?peer, "no request in time");
                }
            }
        }
    }
}

/// The slot of a connection, and what it is used for.
struct Usage {
    slot: Slot,
    running: Cell<usize>,
    /// Whether there was no request so far.
    is_new: Cell<bool>,
}

impl Usage {
    fn begin(self: &Rc<Self>) -> Running {
        self.is_new.set(false);
        self.running.set(self.running.get() + 1);
        self.slot.busy();
        Running(self.clone())
    }
}

/// A request, until the last byte of its answer was handed over.
struct Running(Rc<Usage>);

impl Drop for Running {
    fn drop(&mut self) {
        let Self(usage) = self;
        usage.running.set(usage.running.get().saturating_sub(1));
        if usage.running.get() == 0 {
            usage.slot.idle();
        }
    }
}

/// A body that belongs to a running request.
struct Counted {
    body: AnswerBody,
    _running: Running,
}

impl Body for Counted {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
