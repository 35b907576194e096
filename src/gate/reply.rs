//! From the registry's answer to the client's response, and the body of all responses.

use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN as ALLOW_ORIGIN, ALT_SVC, CONTENT_LENGTH, CONTENT_LOCATION, LINK, LOCATION,
    WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, Version};
use http_body::{Body, Frame, SizeHint};

use super::context::RequestContext;
use super::request_log::{REGISTRY_ASKS, RequestLog};
use super::token_service;
use super::upload_place;
use crate::body::{Flow, HTTP2_PIECE, Piece};
use crate::header::hop;
use crate::header::location::Rewriter;
use crate::upstream::{Answer, AnswerError};

pub(super) const API_VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
pub(super) const API_VERSION_VALUE: HeaderValue = HeaderValue::from_static("registry/2.0");

/// Makes the client's response of the registry's answer to a request for `asked`: its framing, its
/// `Location`, the API version once.
pub(super) fn rewrite(
    context: &RequestContext<'_>,
    asked: &Uri,
    mut answer: Response<Answer>,
) -> Response<Source> {
    let status = answer.status();
    if status == StatusCode::UNAUTHORIZED {
        context.log.reason(REGISTRY_ASKS);
    }
    let headers = answer.headers_mut();
    hop::strip(headers);
    headers.insert(API_VERSION, API_VERSION_VALUE);
    // Other ports and protocols of the registry are not those of this host (RFC 7838).
    headers.remove(ALT_SVC);
    let rewriter = context.rewriter();
    let location = headers.get(LOCATION).and_then(|from| {
        let usual = rewriter.location(from, status);
        if !context.target.operation.is_upload() {
            return usual;
        }
        upload_place::carry(context, status, asked, from, usual)
    });
    if let Some(location) = location {
        headers.insert(LOCATION, location);
    }
    put_right(headers, &rewriter, asked.path());
    context.rename_head(headers, asked.path_and_query().map_or("/", |asked| asked.as_str()));
    if status == StatusCode::UNAUTHORIZED {
        token_service::learn(context, headers);
    }
    answer.map(Source::Answer)
}

/// Puts the registry's addresses for itself right, except for `Location`, in the answer to a
/// request for the path `asked`.
pub(super) fn put_right(headers: &mut HeaderMap, rewriter: &Rewriter<'_>, asked: &str) {
    for (name, value) in headers.iter_mut() {
        let right = if name == LINK {
            rewriter.link(value, asked)
        } else if name == WWW_AUTHENTICATE {
            rewriter.challenge(value)
        } else if name == CONTENT_LOCATION || is_url(value) && name != LOCATION && name != ALLOW_ORIGIN {
            rewriter.address(value)
        } else {
            None
        };
        if let Some(right) = right {
            *value = right;
        }
    }
}

pub(super) fn is_url(value: &HeaderValue) -> bool {
    matches!(value.as_bytes(), [b'h' | b'H', b't' | b'T', b't' | b'T', b'p' | b'P', ..])
}

impl RequestContext<'_> {
    /// Puts the registry's addresses right for this client.
    pub(super) fn rewriter(&self) -> Rewriter<'_> {
        let registry = self.destination.registry.place();
        Rewriter { https: self.client.https, client: self.authority, registry }
    }
}

/// Completes a response. From here on its body keeps the log, which is written when the body is
/// dropped.
pub(super) fn hand_over<G>(
    mut response: Response<Source>,
    flow: Rc<Flow>,
    mut log: RequestLog,
    guard: G,
) -> Response<Reply<G>> {
    log.answered(&response, response.body().size_hint().exact());
    if log.is_head() {
        withhold_text(&mut response);
    }
    let piece = if log.version() == Version::HTTP_2 { HTTP2_PIECE } else { usize::MAX };
    response.map(|source| {
        if source.is_end_stream() {
            log.finished();
        }
        Reply { source, rest: Bytes::new(), failure: None, piece, flow, log, _guard: guard }
    })
}

/// The response to a HEAD has the length of our text, not the text. hyper does that for HTTP/1.1
/// only.
fn withhold_text(response: &mut Response<Source>) {
    if let Source::Text(text) = response.body_mut() {
        let length = text.take().map_or(0, |text| text.len());
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
}

/// The origin of a response's bytes.
pub(super) enum Source {
    /// A text of our own; `None` once it is sent.
    Text(Option<Bytes>),
    /// The registry.
    Answer(Answer),
}

impl From<Bytes> for Source {
    fn from(text: Bytes) -> Self {
        Self::Text(Some(text).filter(|text| !text.is_empty()))
    }
}

impl Source {
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self {
            Self::Text(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Answer(answer) => Pin::new(answer).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Answer(answer) => answer.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.as_ref().map_or(0, Bytes::len) as u64),
            Self::Answer(answer) => answer.size_hint(),
        }
    }
}

/// The body of a response. When it is dropped, complete or not, the access log is written and `G`
/// released.
pub(crate) struct Reply<G> {
    source: Source,
    /// The rest of the last chunk.
    rest: Bytes,
    /// Why the body ends early, once that is known.
    failure: Option<AnswerError>,
    /// Most bytes handed over at once.
    piece: usize,
    flow: Rc<Flow>,
    log: RequestLog,
    _guard: G,
}

impl<G> Reply<G> {
    fn next_piece(&mut self) -> Frame<Piece> {
        let piece = self.rest.split_to(self.rest.len().min(self.piece));
        let piece = self.flow.deliver(piece);
        if self.is_finished() {
            self.log.finished();
        }
        Frame::data(piece)
    }

    fn is_finished(&self) -> bool {
        self.rest.is_empty() && self.source.is_end_stream()
    }
}

impl<G: Unpin> Body for Reply<G> {
    type Data = Piece;
    type Error = AnswerError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, AnswerError>>> {
        let reply = &mut *self;
        if let Some(error) = reply.failure.take() {
            return Poll::Ready(Some(Err(error)));
        }
        reply.flow.asked_for_more();
        if reply.rest.is_empty() {
            // Only here: until the next turn, all pieces are sent, and their buffer is free again.
            if reply.flow.yields(cx) {
                return Poll::Pending;
            }
            match ready!(reply.source.poll_frame(cx)) {
                Some(Ok(frame)) => reply.rest = frame.into_data().unwrap_or_default(),
                Some(Err(error)) => {
                    reply.log.truncated(&error);
                    // hyper drops what it has not yet sent, even the head. A turn later the client
                    // has it.
                    reply.failure = Some(error);
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                None => {
                    reply.log.finished();
                    return Poll::Ready(None);
                }
            }
        }
        Poll::Ready(Some(Ok(reply.next_piece())))
    }

    fn is_end_stream(&self) -> bool {
        self.is_finished()
    }

    fn size_hint(&self) -> SizeHint {
        self.source.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_response_to_a_head_has_the_length_alone() {
        for (text, length) in [("five!", "5"), ("", "0")] {
            let mut response = Response::new(Source::from(Bytes::from_static(text.as_bytes())));
            withhold_text(&mut response);
            assert_eq!(response.headers()[CONTENT_LENGTH], length);
            assert!(response.body().is_end_stream());
        }
    }
}
