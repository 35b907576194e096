//! The body of an answer on its way to the client.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::error::Broken;
use super::pool::Lease;
use crate::body::Flow;
use crate::places::Place;

/// Streams an answer and drives the connection it arrives on. At its end the connection goes back
/// to the pool; an answer that is dropped earlier closes it.
pub(crate) struct Answer {
    /// `None` after the end, or after a failure.
    lease: Option<Lease>,
    /// `None` after the end.
    place: Option<Place>,
    flow: Rc<Flow>,
    read_timeout: Duration,
    last_read: Instant,
    has_failed: bool,
}

impl Answer {
    pub(super) fn new(lease: Lease, place: Place, read_timeout: Duration, flow: Rc<Flow>) -> Self {
        let (lease, place, last_read) = (Some(lease), Some(place), Instant::now());
        flow.is_answered(last_read);
        let mut answer = Self { lease, place, flow, read_timeout, last_read, has_failed: false };
        if answer.is_over() {
            answer.release();
        }
        answer
    }

    /// Whether no byte of it is to come, as far as that is known.
    fn is_over(&self) -> bool {
        self.lease.as_ref().is_none_or(|lease| lease.connection.left() == Some(0))
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
        let Self { lease: Some(lease), flow, .. } = &mut *self else { return Poll::Ready(None) };
        let most = ready!(flow.poll_room(cx));
        let data = match lease.connection.poll_data(most, cx) {
            Poll::Ready(data) => data,
            Poll::Pending if self.is_silent(cx) => {
                (self.lease, self.has_failed) = (None, true);
                return Poll::Ready(Some(Err(AnswerError::Silent)));
            }
            Poll::Pending => return Poll::Pending,
        };
        self.last_read = Instant::now();
        Poll::Ready(match data {
            Ok(Some(data)) => {
                let is_last = self.is_over();
                if is_last {
                    self.release();
                }
                Some(Ok(Frame::data(self.flow.hold(data, is_last))))
            }
            Ok(None) => {
                self.release();
                None
            }
            Err(broken) => {
                (self.lease, self.has_failed) = (None, true);
                Some(Err(match self.flow.fault() {
                    Some(_) => AnswerError::Client,
                    None => AnswerError::Truncated(broken),
                }))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.lease.is_none() && !self.has_failed
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.lease.as_ref().map_or(Some(0), |lease| lease.connection.left());
        left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// Why an answer has ended too early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The registry's connection or framing broke.
    #[error("the registry's answer was cut: {0}")]
    Truncated(Broken),
    /// No byte arrived within the read timeout.
    #[error("the registry fell silent")]
    Silent,
    /// The client's body ended badly while the answer was already arriving.
    #[error("the client's body ended badly")]
    Client,
}

#[cfg(test)]
mod tests;
