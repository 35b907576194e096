//! The body of a request on its way to the upstream.

use std::error::Error as _;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{ClientFault, Flow, Pace, UnreadBody};
use crate::places::Place;

/// The limits of one request body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Longest time without a byte while tidegate waits for the client.
    pub idle: Duration,
    /// Bytes per second on average, after 20 s of grace; 0 for no limit.
    pub min_rate: u64,
    /// Most bytes in total; `u64::MAX` for no limit.
    pub bytes: u64,
}

/// Streams a client's body to the upstream and counts its bytes. Records a fault of the client in
/// [`Flow`], so that it is not reported as a failure of the upstream. Drops trailers.
pub(crate) struct ClientBody {
    /// `None` for a request without a body.
    incoming: Option<Incoming>,
    http2: bool,
    /// A body that was read as a whole, or the HTTP/2 chunk that completes the declared length. The
    /// chunk is held until the stream ends. The registry counts only the length, and would
    /// otherwise take a reset or malformed stream for complete.
    held: Option<Bytes>,
    /// The place of a body that was read as a whole.
    _place: Option<Place>,
    declared: Option<u64>,
    flow: Rc<Flow>,
    pace: Pace,
    most: u64,
    /// When the current wait for the client began.
    waiting: Option<Instant>,
    /// Wakes the task when a wait has lasted too long. It is kept for later waits, so it may fire
    /// early.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl ClientBody {
    /// The body of a request of this HTTP version.
    pub(crate) fn new(body: UnreadBody, version: Version, flow: Rc<Flow>, limits: Limits) -> Self {
        Self {
            declared: body.size_hint().exact(),
            incoming: body.incoming,
            http2: version == Version::HTTP_2,
            held: Some(body.whole).filter(|whole| !whole.is_empty()),
            _place: body.place,
            flow,
            pace: Pace::new(limits.idle, limits.min_rate),
            most: limits.bytes,
            waiting: None,
            alarm: None,
        }
    }

    /// For a request without a body.
    pub(crate) fn empty(flow: Rc<Flow>) -> Self {
        Self {
            incoming: None,
            http2: false,
            held: None,
            _place: None,
            declared: Some(0),
            flow,
            pace: Pace::new(Duration::MAX, 0),
            most: 0,
            waiting: None,
            alarm: None,
        }
    }

    /// The next chunk of data, or the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, ClientFault>> {
        Poll::Ready(match ready!(self.poll_incoming(cx)) {
            None if self.is_unfinished() => Err(ClientFault::Gone),
            None => Ok(None),
            Some(Err(fault)) => Err(fault),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => {
                    self.flow.received(data.len() as u64);
                    if self.flow.bytes_in() > self.most { Err(ClientFault::TooLarge) } else { Ok(Some(data)) }
                }
                Err(frame) if frame.trailers_ref().is_some_and(forbidden) => Err(ClientFault::Malformed),
                Err(_) => Ok(None),
            },
        })
    }

    /// Whether the chunk just read completes the declared length of a stream that has not ended
    /// yet.
    fn completes(&self) -> bool {
        self.is_unfinished() && self.declared == Some(self.flow.bytes_in())
    }

    /// Whether an HTTP/2 stream has not ended with END_STREAM. hyper reports a reset with NO_ERROR
    /// as an ordinary end.
    fn is_unfinished(&self) -> bool {
        self.http2 && self.incoming.as_ref().is_some_and(|incoming| !incoming.is_end_stream())
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ClientFault>>> {
        let Some(incoming) = &mut self.incoming else {
            return Poll::Ready(None);
        };
        match Pin::new(incoming).poll_frame(cx) {
            Poll::Ready(frame) => {
                let bytes = match &frame {
                    Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
                    Some(Err(_)) | None => 0,
                };
                if let Some(since) = self.waiting.take() {
                    self.flow.waits_for_upload(false);
                    if self.pace.waited(since.elapsed(), bytes) && bytes > 0 {
                        return Poll::Ready(Some(Err(ClientFault::TooSlow)));
                    }
                }
                Poll::Ready(frame.map(|frame| frame.map_err(fault)))
            }
            Poll::Pending => {
                self.flow.waits_for_upload(true);
                let since = *self.waiting.get_or_insert_with(Instant::now);
                let due = since + self.pace.patience();
                let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
                if alarm.deadline() > due {
                    alarm.as_mut().reset(due);
                }
                while alarm.as_mut().poll(cx).is_ready() {
                    if Instant::now() >= due {
                        return Poll::Ready(Some(Err(ClientFault::TooSlow)));
                    }
                    alarm.as_mut().reset(due);
                }
                Poll::Pending
            }
        }
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = ClientError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ClientError>>> {
        if self.flow.yields(cx) {
            return Poll::Pending;
        }
        let result = loop {
            match ready!(self.poll_next(cx)) {
                Ok(Some(data)) if data.is_empty() => {}
                Ok(Some(data)) if self.completes() => self.held = Some(data),
                Ok(Some(data)) => break Ok(data),
                Ok(None) => match self.held.take() {
                    Some(data) => break Ok(data),
                    None => return Poll::Ready(None),
                },
                Err(fault) => break Err(fault),
            }
        };
        Poll::Ready(Some(match result {
            Ok(data) => Ok(Frame::data(data)),
            Err(fault) => {
                self.flow.fail(fault);
                Err(ClientError(fault))
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.held.is_none() && self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let held = || SizeHint::with_exact(self.held.as_ref().map_or(0, |held| held.len() as u64));
        self.incoming.as_ref().map_or_else(held, Body::size_hint)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        self.flow.waits_for_upload(false);
    }
}

/// The client's fault, as recorded in [`Flow::fault`].
#[derive(Debug, thiserror::Error)]
#[error("the client's body ended badly: {0:?}")]
pub(crate) struct ClientError(ClientFault);

/// hyper reports broken chunks as `InvalidData` or `InvalidInput`, and h2 reports a body that
/// differs from its Content-Length as `PROTOCOL_ERROR`. Anything else is a body that ended early.
fn fault(error: hyper::Error) -> ClientFault {
    let source = error.source();
    let io = source.and_then(|source| source.downcast_ref::<io::Error>()).map(io::Error::kind);
    let h2 = source.and_then(|source| source.downcast_ref::<h2::Error>()).and_then(h2::Error::reason);
    match (io, h2) {
        (Some(ErrorKind::InvalidData | ErrorKind::InvalidInput), _) => ClientFault::Malformed,
        (_, Some(h2::Reason::PROTOCOL_ERROR)) => ClientFault::Malformed,
        _ => ClientFault::Gone,
    }
}

/// Whether there is a field that RFC 9110 section 6.5.1 forbids in trailers, because a recipient
/// may merge it into the head.
fn forbidden(trailers: &HeaderMap) -> bool {
    const NAMES: [header::HeaderName; 9] = [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::HOST,
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::CONNECTION,
        header::EXPECT,
    ];
    NAMES.iter().any(|name| trailers.contains_key(name))
        || trailers.keys().any(|name| name.as_str().starts_with("x-forwarded-"))
}

#[cfg(test)]
mod tests;
