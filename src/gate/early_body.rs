//! Request bodies that are read before the request is forwarded or refused.

use std::mem;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Version, header};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::context::RequestContext;
use super::forward;
use super::head_checks::{NO_BODY, declared_length, has_body, is_read};
use super::refusal::Refusal;
use crate::body::{ClientBody, ClientFault, UnreadBody};

/// Most bytes of a body that a client is expected to have sent without waiting for an answer.
const SHORT: u64 = 64 * 1024;
/// How long they may take to arrive.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Waits for the end of an HTTP/2 request that can have no body: it may come in a frame after the
/// head. The request is then forwarded without a body.
///
/// # Errors
/// There is a body, or the stream does not end within `patience`.
pub(super) async fn settle(request: &mut Request<UnreadBody>, patience: Duration) -> Result<(), Refusal> {
    let no_body = declared_length(request.headers()) == Some(0) || is_read(request.method());
    if request.version() != Version::HTTP_2 || !no_body {
        return Ok(());
    }
    let deadline = Instant::now() + patience;
    while has_body(request) {
        match timeout_at(deadline, request.body_mut().frame()).await {
            Ok(Some(Ok(frame))) if frame.data_ref().is_some_and(|data| !data.is_empty()) => {
                return Err(NO_BODY);
            }
            Ok(Some(Ok(_))) => {}
            Ok(None) if !has_body(request) => {}
            Ok(None | Some(Err(_))) => return Err(Refusal::Client(ClientFault::Gone)),
            Err(_elapsed) => return Err(Refusal::Client(ClientFault::TooSlow)),
        }
    }
    Ok(())
}

/// Reads the body of a request as a whole, and puts it back with its length. It is counted, timed
/// and bounded like one that is forwarded. A long one needs a place, until it is sent.
pub(super) async fn whole(
    context: &RequestContext<'_>,
    request: &mut Request<UnreadBody>,
) -> Result<Bytes, Refusal> {
    let limits = forward::limits(context);
    if declared_length(request.headers()).is_some_and(|length| length > limits.bytes) {
        return Err(Refusal::BodyTooLarge);
    }
    let (version, flow) = (request.version(), context.flow);
    let place = if declared_length(request.headers()).is_some_and(|length| length <= SHORT) {
        None
    } else {
        let patience = context.state.config.upstream.connect_timeout;
        Some(context.gate.held_bodies.enter(flow.network(), patience).await.ok_or(Refusal::Crowded)?)
    };
    let body = ClientBody::new(mem::take(request.body_mut()), version, flow.clone(), limits);
    let Ok(body) = body.collect().await else {
        return Err(match flow.fault() {
            Some(ClientFault::TooLarge) => Refusal::BodyTooLarge,
            fault => Refusal::Client(fault.unwrap_or(ClientFault::Gone)),
        });
    };
    let body = body.to_bytes();
    request.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
    *request.body_mut() = UnreadBody::read(body.clone(), place);
    Ok(body)
}

/// Reads a short HTTP/2 body before its request is refused: curl treats a stream that ends while it
/// is sending as broken, and shows no status. Skipped for `Expect: 100-continue`.
pub(super) async fn drain_small(request: &mut Request<UnreadBody>) {
    let is_short = declared_length(request.headers()).is_some_and(|length| length <= SHORT);
    if request.version() != Version::HTTP_2 || !is_short || request.headers().contains_key(header::EXPECT) {
        return;
    }
    let rest = async { while let Some(Ok(_)) = request.body_mut().frame().await {} };
    // The refusal does not depend on the rest.
    _ = timeout(ON_ITS_WAY, rest).await;
}
