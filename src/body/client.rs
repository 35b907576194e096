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

/// What a request body has to keep to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Longest time without a byte while the client is waited for.
    pub idle: Duration,
    /// Bytes per second, taken over 20 s; 0 for none.
    pub min_rate: u64,
    /// Most bytes in all; `u64::MAX` for no limit.
    pub bytes: u64,
}

/// Streams a client's body to the upstream, counts it, and notes in [`Flow`] what the client does
/// wrong, so that its fault is not answered as one of the upstream. Trailers are not forwarded.
pub(crate) struct ClientBody {
    /// None for a request that has no body.
    incoming: Option<Incoming>,
    http2: bool,
    /// The chunk of an HTTP/2 request that completes the declared length, until its end is seen: who counts only the
    /// length would take what is then truncated or malformed for complete.
    held: Option<Bytes>,
    declared: Option<u64>,
    flow: Rc<Flow>,
    pace: Pace,
    most: u64,
    /// Since when the client has been waited for.
    waiting: Option<Instant>,
    /// Rings when that may have got too long. Kept from one wait to the next, so it may ring early.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl ClientBody {
    /// Wraps what hyper received in a request of `version`.
    pub(crate) fn new(body: UnreadBody, version: Version, flow: Rc<Flow>, limits: Limits) -> Self {
        Self {
            declared: body.size_hint().exact(),
            incoming: body.0,
            http2: version == Version::HTTP_2,
            held: None,
            flow,
            pace: Pace::new(limits.idle, limits.min_rate),
            most: limits.bytes,
            waiting: None,
            alarm: None,
        }
    }

    /// No body at all.
    pub(crate) fn empty(flow: Rc<Flow>) -> Self {
        Self {
            incoming: None,
            http2: false,
            held: None,
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

    /// Whether the chunk just read is the last by the declared length, but the stream has not ended with it.
    fn completes(&self) -> bool {
        self.is_unfinished() && self.declared == Some(self.flow.bytes_in())
    }

    /// Whether an HTTP/2 stream has not come to its proper end. hyper takes one that was reset with NO_ERROR for ended.
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
        self.incoming.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for ClientBody {
    fn drop(&mut self) {
        self.flow.waits_for_upload(false);
    }
}

/// The client's body ended badly; [`Flow::fault`] says the same.
#[derive(Debug, thiserror::Error)]
#[error("the client's body ended badly: {0:?}")]
pub(crate) struct ClientError(ClientFault);

/// hyper reports broken chunks as `InvalidData` or `InvalidInput`, h2 a body that belies its Content-Length as
/// `PROTOCOL_ERROR`; everything else is a body that ended too early.
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

/// Fields that RFC 9110 section 6.5.1 keeps out of trailers, because somebody might take them for the head's.
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
