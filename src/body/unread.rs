//! A request body that has not been read yet.

use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::places::Place;

/// The body as hyper received it, or read beforehand; empty once it was taken from the request.
#[derive(Default)]
pub(crate) struct UnreadBody {
    pub(super) incoming: Option<Incoming>,
    /// The body of a request that was read as a whole.
    pub(super) whole: Bytes,
    /// The place of a body that is held in memory.
    pub(super) place: Option<Place>,
}

impl UnreadBody {
    /// A body that was read as a whole. Keeps the place until it is sent.
    pub(crate) fn read(whole: Bytes, place: Option<Place>) -> Self {
        Self { incoming: None, whole, place }
    }
}

impl From<Incoming> for UnreadBody {
    fn from(incoming: Incoming) -> Self {
        Self { incoming: Some(incoming), whole: Bytes::new(), place: None }
    }
}

impl Body for UnreadBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if let Some(incoming) = &mut self.incoming {
            return Pin::new(incoming).poll_frame(cx);
        }
        let whole = Some(mem::take(&mut self.whole)).filter(|whole| !whole.is_empty());
        Poll::Ready(whole.map(|whole| Ok(Frame::data(whole))))
    }

    fn is_end_stream(&self) -> bool {
        self.whole.is_empty() && self.incoming.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let whole = || SizeHint::with_exact(self.whole.len() as u64);
        self.incoming.as_ref().map_or_else(whole, Body::size_hint)
    }
}
