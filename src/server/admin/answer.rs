//! The life of a request to the admin listener.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_SECURITY_POLICY};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::access::{Peer, admit};
use super::host;
use super::metrics;
use super::readiness::ready;
use super::server::AdminServer;
use super::text::{JSON, of_type, protect, sentence};

pub(super) type AnswerBody = Full<Bytes>;

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");

/// The answer of `/healthz`.
#[derive(Serialize)]
struct Health<'a> {
    healthy: bool,
    /// Worker threads that do not answer.
    stuck: &'a [String],
}

/// Answers a request. Its body is not read.
pub(super) async fn answer<B>(
    server: &Rc<AdminServer>,
    request: &Request<B>,
    peer: Peer,
) -> Response<AnswerBody> {
    let mut response = find(server, request, peer).await;
    protect(response.headers_mut());
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, server.page.policy.clone());
    response.map(Full::new)
}

async fn find<B>(server: &Rc<AdminServer>, request: &Request<B>, peer: Peer) -> Response<Bytes> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = sentence(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    if let Err((status, why)) = host::check(request, peer, &server.shared.state().config.server.names) {
        return sentence(status, why);
    }
    let absent = || sentence(StatusCode::NOT_FOUND, "there is nothing here");
    let path = request.uri().path();
    match path {
        "/healthz" => return health(server).await,
        "/readyz" => {
            let ready = ready(&server.shared);
            return json(ready.ready, &ready);
        }
        "/" | "/metrics" | "/api/status" => {}
        _ => return absent(),
    }
    if let Err(refusal) = admit(&server.shared, peer, request.headers(), absent).await {
        return refusal;
    }
    match path {
        "/metrics" => metrics::answer(&server.metrics, request.headers()),
        "/api/status" => of_type(StatusCode::OK, JSON, server.status(true).await),
        _ => of_type(StatusCode::OK, HTML, server.page.html.clone()),
    }
}

async fn health(server: &AdminServer) -> Response<Bytes> {
    let answers = server.heartbeat.answers().await;
    let stuck = &answers.stuck;
    json(stuck.is_empty(), &Health { healthy: stuck.is_empty(), stuck })
}

/// 200 if all is well, else 503.
fn json(is_well: bool, content: &impl Serialize) -> Response<Bytes> {
    let status = if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    match serde_json::to_vec(content) {
        Ok(body) => of_type(status, JSON, body),
        Err(_) => sentence(StatusCode::INTERNAL_SERVER_ERROR, "the answer cannot be written"),
    }
}
