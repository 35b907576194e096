//! The body of an answer on its way to the client.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::pool::Lease;
use crate::body::Flow;
use crate::places::Place;

/// Streams an answer and drives the connection it arrives on. At its end the connection goes back
/// to the pool; an answer that is dropped earlier closes it.
pub(crate) struct Answer {
    incoming: Incoming,
    /// `None` after the end, or after a failure.
    lease: Option<Lease>,
    /// `None` after the end.
    place: Option<Place>,
    flow: Rc<Flow>,
    read_timeout: Duration,
    last_read: Instant,
}

impl Answer {
    pub(super) fn new(
        incoming: Incoming,
        lease: Lease,
        place: Place,
        read_timeout: Duration,
        flow: Rc<Flow>,
    ) -> Self {
        let (lease, place, last_read) = (Some(lease), Some(place), Instant::now());
        flow.is_answered(last_read);
        let mut answer = Self { incoming, lease, place, flow, read_timeout, last_read };
        if answer.incoming.is_end_stream() {
            answer.release();
        }
        answer
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.check_in();
        }
        self.place = None;
    }

    /// Whether the registry has sent nothing for too long, although it has the whole request.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let Self { lease, last_read, flow, read_timeout, .. } = self;
        lease.as_mut().is_some_and(|lease| {
            let silence = || last_read.elapsed().min(flow.upstream_silence());
            lease.connection.is_silent(*read_timeout, cx, silence)
        })
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        loop {
            let most = ready!(self.flow.poll_room(cx));
            // A short body has arrived with its head.
            let mut frame = Pin::new(&mut self.incoming).poll_frame(cx);
            if frame.is_pending()
                && let Some(lease) = &mut self.lease
            {
                lease.connection.read_at_most(most);
                lease.connection.drive(cx);
                frame = Pin::new(&mut self.incoming).poll_frame(cx);
            }
            let frame = match frame {
                Poll::Ready(frame) => frame,
                Poll::Pending if self.is_silent(cx) => {
                    self.lease = None;
                    return Poll::Ready(Some(Err(AnswerError::Silent)));
                }
                Poll::Pending => return Poll::Pending,
            };
            self.last_read = Instant::now();
            match frame {
                // Trailers of the registry are not forwarded.
                Some(Ok(frame)) if frame.is_trailers() => {}
                Some(Ok(frame)) => {
                    let is_last = self.incoming.is_end_stream();
                    if is_last {
                        self.release();
                    }
                    return Poll::Ready(Some(Ok(frame.map_data(|data| self.flow.hold(data, is_last)))));
                }
                Some(Err(error)) => {
                    self.lease = None;
                    let error = match self.flow.fault() {
                        Some(_) => AnswerError::Client,
                        None => AnswerError::Truncated(error),
                    };
                    return Poll::Ready(Some(Err(error)));
                }
                None => {
                    self.release();
                    return Poll::Ready(None);
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// Why an answer has ended too early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The registry's connection or framing broke.
    #[error("the registry's answer was cut: {0}")]
    Truncated(hyper::Error),
    /// No byte arrived within the read timeout.
    #[error("the registry fell silent")]
    Silent,
    /// The client's body ended badly while the answer was already arriving.
    #[error("the client's body ended badly")]
    Client,
}

#[cfg(test)]
mod tests;
