//! One connection to the registry, which has one request after the other (HTTP/1.1, RFC 9112). It
//! moves only while its holder polls it.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{Method, Response};
use tokio::time::{Instant, Sleep, sleep};

use super::answer_head::{self, Framing};
use super::chunks::{Chunks, Taken};
use super::error::{Broken, UpstreamError};
use super::outgoing::{Outgoing, Rest};
use super::stream::Stream;
use crate::body::{Flow, TURN};

/// Bytes that are read at once, at first: a head, and all of a short body. As long as that is too
/// few, [`GROWTH`] times as many are read next.
const FIRST_READ: usize = 8 * 1024;
const GROWTH: usize = 8;

pub(super) struct Connection {
    stream: Stream,
    /// What has arrived and was not taken yet.
    arrived: BytesMut,
    /// The request, until all of it is sent.
    outgoing: Option<Rest>,
    /// The body of the answer; before its head and after its end, a body without bytes.
    body: Incoming,
    /// Whether there may be another request after this answer.
    stays_open: bool,
    /// Expires when the registry may have been silent for too long. Kept from one wait to the next,
    /// so it may expire early.
    alarm: Option<Pin<Box<Sleep>>>,
    /// How many bytes are read next.
    next_read: usize,
    /// Whether a byte of the answer to the latest request has arrived.
    has_begun_answer: bool,
}

/// What is still to come of a body.
enum Incoming {
    /// So many bytes.
    Length(u64),
    Chunked(Chunks),
    /// All until the end of the connection.
    ToTheEnd,
}

/// Why a request has no answer.
pub(super) enum SendError {
    /// The connection was closed before a byte was sent. The request is returned.
    Unsent(Outgoing),
    /// The registry may have seen any part of the request.
    Sent(SentError),
}

/// Why a request that was sent has no answer.
pub(super) enum SentError {
    Connection(Broken),
    Silent,
}

impl SentError {
    /// Whether the connection ended before the whole head of an answer.
    pub(super) fn is_dead_connection(&self) -> bool {
        matches!(self, Self::Connection(Broken::Ended | Broken::Io(_)))
    }

    /// A client's body that ends badly breaks the request to the registry too. Then the error is
    /// the client's.
    pub(super) fn into_upstream(self, flow: &Flow) -> UpstreamError {
        match (flow.fault(), self) {
            (Some(fault), _) => UpstreamError::Client(fault),
            (None, Self::Silent) => UpstreamError::Silent,
            (None, Self::Connection(broken)) => UpstreamError::of_connection(broken),
        }
    }
}

impl Connection {
    pub(super) fn new(stream: Stream) -> Self {
        Self {
            stream,
            arrived: BytesMut::new(),
            outgoing: None,
            body: Incoming::Length(0),
            stays_open: true,
            alarm: None,
            next_read: FIRST_READ,
            has_begun_answer: false,
        }
    }

    /// Sends a request, at the moment `begun`, and waits for the head of the answer.
    pub(super) async fn send(
        &mut self,
        request: Outgoing,
        flow: &Rc<Flow>,
        begun: Instant,
        timeout: Duration,
    ) -> Result<Response<()>, SendError> {
        self.has_begun_answer = false;
        self.next_read = FIRST_READ;
        if self.has_ended() {
            return Err(SendError::Unsent(request));
        }
        let method = request.method().clone();
        self.outgoing = Some(request.into());
        // Until the head has arrived, nothing is known.
        self.stays_open = false;
        // One that was set for a longer timeout would expire too late.
        self.alarm.take_if(|alarm| alarm.deadline() > begun + timeout);
        poll_fn(|cx| {
            if let Poll::Ready(result) = self.poll_head(&method, cx) {
                return Poll::Ready(result.map_err(|broken| SendError::Sent(SentError::Connection(broken))));
            }
            // The time before, such as that of another request for the same client, is not this
            // silence.
            if self.is_silent(timeout, cx, || begun.elapsed().min(flow.upstream_silence())) {
                return Poll::Ready(Err(SendError::Sent(SentError::Silent)));
            }
            Poll::Pending
        })
        .await
    }

    /// Whether a byte of the answer to the latest request has arrived.
    pub(super) fn has_begun_answer(&self) -> bool {
        self.has_begun_answer
    }

    /// The next bytes of the answer's body; `None` at its end. No more than `most` bytes are read.
    pub(super) fn poll_data(
        &mut self,
        most: u64,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, Broken>> {
        self.poll_outgoing(cx)?;
        loop {
            let arrived = &mut self.arrived;
            match &mut self.body {
                Incoming::Length(0) => return Poll::Ready(Ok(None)),
                Incoming::Length(left) if !arrived.is_empty() => {
                    let length = arrived.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= length as u64;
                    return Poll::Ready(Ok(Some(arrived.split_to(length).freeze())));
                }
                Incoming::Chunked(chunks) => match chunks.take(arrived)? {
                    Taken::Data(bytes) => return Poll::Ready(Ok(Some(bytes))),
                    Taken::End => {
                        self.body = Incoming::Length(0);
                        return Poll::Ready(Ok(None));
                    }
                    Taken::Nothing => {}
                },
                Incoming::ToTheEnd if !arrived.is_empty() => {
                    return Poll::Ready(Ok(Some(arrived.split().freeze())));
                }
                Incoming::Length(_) | Incoming::ToTheEnd => {}
            }
            let most = most.min(self.left().unwrap_or(TURN)).min(TURN) as usize;
            if ready!(self.poll_fill(most, cx))? == 0 {
                return match self.body {
                    Incoming::ToTheEnd => {
                        self.body = Incoming::Length(0);
                        Poll::Ready(Ok(None))
                    }
                    _ => Poll::Ready(Err(Broken::Ended)),
                };
            }
        }
    }

    /// How many bytes of the answer's body are to come; `None` if that is not known.
    pub(super) fn left(&self) -> Option<u64> {
        match self.body {
            Incoming::Length(left) => Some(left),
            Incoming::Chunked(_) | Incoming::ToTheEnd => None,
        }
    }

    /// Whether the registry has been silent for too long, which is checked when the alarm expires.
    /// A silence begins with the last byte that came from the client, so an upload may take any
    /// time.
    pub(super) fn is_silent(
        &mut self,
        timeout: Duration,
        cx: &mut Context<'_>,
        silence: impl Fn() -> Duration,
    ) -> bool {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(timeout)));
        while alarm.as_mut().poll(cx).is_ready() {
            let silence = silence();
            if silence >= timeout {
                return true;
            }
            alarm.as_mut().reset(Instant::now() + (timeout - silence));
        }
        false
    }

    /// Whether another request may be sent: the last exchange is over, and the registry has neither
    /// closed the connection nor sent anything unasked.
    pub(super) fn is_usable(&mut self) -> bool {
        let is_over = self.outgoing.is_none() && matches!(self.body, Incoming::Length(0));
        if !is_over || !self.stays_open || !self.arrived.is_empty() {
            return false;
        }
        // Its memory may belong to the answer, too.
        self.arrived = BytesMut::new();
        self.stream.is_quiet()
    }

    /// Whether the registry has closed the connection, as far as can be seen at once.
    fn has_ended(&mut self) -> bool {
        let read = self.poll_fill(FIRST_READ, &mut Context::from_waker(Waker::noop()));
        matches!(read, Poll::Ready(Ok(0) | Err(_)))
    }

    fn poll_head(&mut self, method: &Method, cx: &mut Context<'_>) -> Poll<Result<Response<()>, Broken>> {
        self.poll_outgoing(cx)?;
        loop {
            if let Some(head) = answer_head::take(&mut self.arrived, method)? {
                self.stays_open = head.stays_open;
                self.body = match head.framing {
                    Framing::Length(length) => Incoming::Length(length),
                    Framing::Chunked => Incoming::Chunked(Chunks::default()),
                    Framing::ToTheEnd => Incoming::ToTheEnd,
                };
                return Poll::Ready(Ok(head.response));
            }
            if ready!(self.poll_fill(answer_head::LONGEST, cx))? == 0 {
                return Poll::Ready(Err(Broken::Ended));
            }
        }
    }

    /// Sends what can be sent. How it ends shows in the answer, unless the client is to blame.
    fn poll_outgoing(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        if let Some(outgoing) = &mut self.outgoing
            && outgoing.poll_send(&mut self.stream, cx)?.is_ready()
        {
            self.outgoing = None;
        }
        Ok(())
    }

    /// Reads what has arrived, no more than `most` bytes. Returns how many there were, 0 at the end
    /// of the connection. The memory is that of the last read, if nobody holds its bytes any more.
    fn poll_fill(&mut self, most: usize, cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
        let room = self.next_read.min(most);
        let is_short = self.arrived.capacity() - self.arrived.len() < room;
        if is_short && !self.arrived.try_reclaim(room) {
            let mut larger = BytesMut::with_capacity(self.arrived.len() + room);
            larger.extend_from_slice(&self.arrived);
            self.arrived = larger;
        }
        let read =
            ready!(self.stream.poll_read(cx, &mut (&mut self.arrived).limit(room))).map_err(Broken::Io)?;
        self.has_begun_answer |= read > 0;
        if read == self.next_read {
            self.next_read = (read * GROWTH).min(TURN as usize);
        } else if read < room / GROWTH {
            self.next_read = (self.next_read / GROWTH).max(FIRST_READ);
        }
        Poll::Ready(Ok(read))
    }
}

#[cfg(test)]
mod tests;
