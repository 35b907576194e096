//! Request bodies over HTTP/2 that are read before the request is forwarded or refused.

use std::time::Duration;

use http::{Request, Version, header};
use http_body_util::BodyExt as _;
use tokio::time::{Instant, timeout, timeout_at};

use super::head_checks::{NO_BODY, declared_length, has_body, is_read};
use super::refusal::Refusal;
use crate::body::{ClientFault, UnreadBody};

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
