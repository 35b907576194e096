//! One connection to the registry. It moves only while its holder polls it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, Sleep, sleep};

use super::error::UpstreamError;
use super::stream::{Reads, Stream};
use crate::body::{ClientBody, Flow, TURN};

type Driver = http1::Connection<TokioIo<Stream>, ClientBody>;

pub(super) struct Connection {
    sender: SendRequest<ClientBody>,
    /// `None` after its end.
    driver: Option<Pin<Box<Driver>>>,
    /// Expires when the registry may have been silent for too long. Kept from one wait to the next,
    /// so it may expire early.
    alarm: Option<Pin<Box<Sleep>>>,
    reads: Rc<Reads>,
}

/// Why a request has no answer.
pub(super) enum SendError {
    /// The connection was closed before a byte was sent. The request is returned.
    Unsent(Box<Request<ClientBody>>),
    /// The registry may have seen any part of the request.
    Sent(SentError),
}

/// Why a request that was sent has no answer.
pub(super) enum SentError {
    Connection(hyper::Error),
    Silent,
}

impl SentError {
    /// Whether the connection ended before the whole head of an answer.
    pub(super) fn is_dead_connection(&self) -> bool {
        match self {
            Self::Connection(error) => !error.is_parse() && !error.is_timeout() && !error.is_user(),
            Self::Silent => false,
        }
    }

    /// A client's body that ends badly breaks the request to the registry too. Then the error is
    /// the client's.
    pub(super) fn into_upstream(self, flow: &Flow) -> UpstreamError {
        match (flow.fault(), self) {
            (Some(fault), _) => UpstreamError::Client(fault),
            (None, Self::Silent) => UpstreamError::Silent,
            (None, Self::Connection(error)) => UpstreamError::of_connection(error),
        }
    }
}

impl Connection {
    pub(super) async fn open(stream: Stream) -> hyper::Result<Self> {
        let reads = stream.reads();
        let (sender, driver) =
            http1::Builder::new().max_buf_size(TURN as usize).handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Some(Box::pin(driver)), alarm: None, reads })
    }

    /// Sends a request, at the moment `begun`, and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Box<Request<ClientBody>>,
        flow: &Rc<Flow>,
        begun: Instant,
        timeout: Duration,
    ) -> Result<Response<Incoming>, SendError> {
        self.reads.has_begun.set(false);
        let mut answer = pin!(self.sender.try_send_request(*request));
        let (driver, alarm) = (&mut self.driver, &mut self.alarm);
        // One that was set for a longer timeout would expire too late.
        alarm.take_if(|alarm| alarm.deadline() > begun + timeout);
        poll_fn(|cx| {
            drive(driver, cx);
            if let Poll::Ready(result) = answer.as_mut().poll(cx) {
                return Poll::Ready(result.map_err(|mut failed| match failed.take_message() {
                    Some(request) => SendError::Unsent(Box::new(request)),
                    None => SendError::Sent(SentError::Connection(failed.into_error())),
                }));
            }
            // The time before, such as that of another request for the same client, is not this
            // silence.
            if is_silent(alarm, timeout, cx, || begun.elapsed().min(flow.upstream_silence())) {
                return Poll::Ready(Err(SendError::Sent(SentError::Silent)));
            }
            Poll::Pending
        })
        .await
    }

    /// Whether a byte of the answer to the latest request has arrived.
    pub(super) fn has_begun_answer(&self) -> bool {
        self.reads.has_begun.get()
    }

    /// Limits how much is read at once.
    pub(super) fn read_at_most(&self, bytes: u64) {
        self.reads.most.set(bytes);
    }

    /// Lets the connection read and write what it can.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        drive(&mut self.driver, cx);
    }

    /// Whether the registry has been silent for too long.
    pub(super) fn is_silent(
        &mut self,
        timeout: Duration,
        cx: &mut Context<'_>,
        silence: impl Fn() -> Duration,
    ) -> bool {
        is_silent(&mut self.alarm, timeout, cx, silence)
    }

    /// Whether another request may be sent: the last exchange is over, and the registry has not
    /// closed the connection.
    pub(super) fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop()));
        self.driver.is_some() && self.sender.is_ready()
    }
}

/// The result is not needed: how the connection ends shows in the answer or its body.
fn drive(driver: &mut Option<Pin<Box<Driver>>>, cx: &mut Context<'_>) {
    if driver.as_mut().is_some_and(|driver| driver.as_mut().poll(cx).is_ready()) {
        *driver = None;
    }
}

/// Whether `silence` has lasted for `timeout`; checked when the alarm expires. A silence begins
/// with the last byte that came from the client, so an upload may take any time.
fn is_silent(
    alarm: &mut Option<Pin<Box<Sleep>>>,
    timeout: Duration,
    cx: &mut Context<'_>,
    silence: impl Fn() -> Duration,
) -> bool {
    let alarm = alarm.get_or_insert_with(|| Box::pin(sleep(timeout)));
    while alarm.as_mut().poll(cx).is_ready() {
        let silence = silence();
        if silence >= timeout {
            return true;
        }
        alarm.as_mut().reset(Instant::now() + (timeout - silence));
    }
    false
}
