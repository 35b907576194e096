//! The body of an answer on its way to the client.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::connection::Connection;
use super::{Destination, Upstream};
use crate::body::Flow;
use crate::config::ServerAddress;

/// Streams an answer and drives the connection it comes on; at its end the connection goes back to
/// the pool. Dropped before its end, it closes the connection.
pub(crate) struct Answer {
    incoming: Incoming,
    link: Option<Link>,
    flow: Rc<Flow>,
    read_timeout: Duration,
    moved: Instant,
}

struct Link {
    connection: Connection,
    pool: Rc<Upstream>,
    server: ServerAddress,
}

impl Answer {
    pub(super) fn new(
        incoming: Incoming,
        connection: Connection,
        pool: Rc<Upstream>,
        to: &Destination,
        flow: Rc<Flow>,
    ) -> Self {
        let link = Link { connection, pool, server: to.server.clone() };
        let mut answer =
            Self { incoming, link: Some(link), flow, read_timeout: to.read_timeout, moved: Instant::now() };
        if answer.incoming.is_end_stream() {
            answer.release();
        }
        answer
    }

    fn release(&mut self) {
        if let Some(link) = self.link.take() {
            link.pool.checkin(link.connection, link.server);
        }
    }

    /// Whether the registry has sent nothing for too long, although it has all that there is of the request.
    fn is_silent(&mut self, cx: &mut Context<'_>) -> bool {
        let Self { link, moved, flow, read_timeout, .. } = self;
        link.as_mut().is_some_and(|link| {
            link.connection.is_silent(*read_timeout, cx, || moved.elapsed().min(flow.upstream_silence()))
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
            if let Some(link) = &mut self.link {
                link.connection.drive(cx);
            }
            let frame = match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(frame) => frame,
                Poll::Pending if self.is_silent(cx) => {
                    self.link = None;
                    return Poll::Ready(Some(Err(AnswerError::Silent)));
                }
                Poll::Pending => return Poll::Pending,
            };
            self.moved = Instant::now();
            match frame {
                // Trailers of the registry are not forwarded.
                Some(Ok(frame)) if frame.is_trailers() => {}
                Some(Ok(frame)) => {
                    if self.incoming.is_end_stream() {
                        self.release();
                    }
                    return Poll::Ready(Some(Ok(frame)));
                }
                Some(Err(error)) => {
                    self.link = None;
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

/// Why an answer ended before its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    /// The registry's connection or framing broke.
    #[error("the registry's answer was cut: {0}")]
    Truncated(hyper::Error),
    /// No byte within the read timeout.
    #[error("the registry fell silent")]
    Silent,
    /// The client broke its own request while the answer was already on its way.
    #[error("the client's body ended badly")]
    Client,
}
