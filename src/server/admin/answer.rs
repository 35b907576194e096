//! The life of a request to the admin listener.

use std::rc::Rc;

use bytes::Bytes;
use http::header::{ALLOW, CONTENT_SECURITY_POLICY, RETRY_AFTER};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::Serialize;
use tokio::task::spawn_local;

use super::access::{Peer, admit};
use super::body::AnswerBody;
use super::host;
use super::metrics;
use super::readiness::ready;
use super::server::AdminServer;
use super::text::{JSON, of_type, protect, sentence};

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Seconds after which there may be a place for another watcher.
const SOON: HeaderValue = HeaderValue::from_static("10");

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
    response
}

async fn find<B>(server: &Rc<AdminServer>, request: &Request<B>, peer: Peer) -> Response<AnswerBody> {
    let path = request.uri().path();
    match open_to_all(server, request, peer).await {
        Some(response) => response.map(AnswerBody::from),
        None if path == "/api/events" => events(server, request.method()).await,
        None => match path {
            "/metrics" => metrics::answer(&server.metrics, request.headers()),
            "/api/status" => of_type(StatusCode::OK, JSON, server.status(true).await),
            _ => of_type(StatusCode::OK, HTML, server.page.html.clone()),
        }
        .map(AnswerBody::from),
    }
}

/// The answer, unless it is one for those who may see everything.
async fn open_to_all<B>(
    server: &Rc<AdminServer>,
    request: &Request<B>,
    peer: Peer,
) -> Option<Response<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = sentence(StatusCode::METHOD_NOT_ALLOWED, "nothing can be changed here");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    if let Err((status, why)) = host::check(request, peer, &server.shared.state().config.server.names) {
        return Some(sentence(status, why));
    }
    let absent = || sentence(StatusCode::NOT_FOUND, "there is nothing here");
    match request.uri().path() {
        "/healthz" => Some(health(server).await),
        "/readyz" => {
            let ready = ready(&server.shared);
            Some(json(ready.ready, &ready))
        }
        "/" | "/metrics" | "/api/status" | "/api/events" => {
            admit(&server.shared, peer, request.headers(), absent).await.err()
        }
        _ => Some(absent()),
    }
}

/// An endless answer, with the status in each event.
async fn events(server: &Rc<AdminServer>, method: &Method) -> Response<AnswerBody> {
    if method == Method::HEAD {
        return of_type(StatusCode::OK, EVENTS, Bytes::new()).map(AnswerBody::from);
    }
    let Some(place) = server.watchers.enter() else {
        let mut response =
            sentence(StatusCode::SERVICE_UNAVAILABLE, "too many watch already; try again later");
        response.headers_mut().insert(RETRY_AFTER, SOON);
        return response.map(AnswerBody::from);
    };
    let first = server.status(true).await;
    let (events, must_send) = server.watchers.watch(place, first);
    if must_send {
        spawn_local(server.clone().keep_sending());
    }
    of_type(StatusCode::OK, EVENTS, Bytes::new()).map(|_| AnswerBody::Events(events))
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
