//! Plain HTTP: the responses to ACME's http-01 challenge, and redirects to HTTPS for all else.

use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::accepted::Accepted;
use super::linger::LingeringSocket;
use super::listener::accept_for;
use super::listening_socket::ListeningSocket;
use super::slots::Slots;
use crate::gate;
use crate::registry::target;
use crate::state::Shared;

/// The port of an `https` URL that names none.
pub(crate) const HTTPS: u16 = 443;

/// Where an ACME directory looks for responses (RFC 8555, section 8.3).
const CHALLENGE: &str = "/.well-known/acme-challenge/";
/// The least that hyper accepts, and enough for a request here.
const HEAD: usize = 8 * 1024;
const FIELDS: usize = 64;

/// Answers one request of each connection, within `limits.handshake_timeout`.
pub(crate) struct Plain {
    shared: Arc<Shared>,
    https_port: u16,
}

impl Plain {
    /// Redirects clients to `https_port`.
    pub(crate) fn new(shared: Arc<Shared>, https_port: u16) -> Self {
        Self { shared, https_port }
    }

    /// Accepts connections until it is dropped.
    pub(crate) async fn accept(self: Rc<Self>, listener: Rc<ListeningSocket>, slots: Slots) {
        let take = |accepted| _ = spawn_local(self.clone().serve(accepted));
        accept_for(&listener, slots, &self.shared, |_| false, take).await;
    }

    async fn serve(self: Rc<Self>, accepted: Accepted) {
        let Accepted { socket, peer, slot, .. } = accepted;
        let time = self.shared.state().config.limits.handshake_timeout;
        let service = service_fn(async |request| {
            let response = self.answer(&request, peer).await;
            tracing::debug!(%peer, path = request.uri().path(), status = response.status().as_u16(), "plain HTTP");
            Ok::<_, Infallible>(response)
        });
        let socket = match TcpStream::from_std(socket) {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!(%error, "lost a connection"),
        };
        let connection = http1::Builder::new()
            .header_read_timeout(None)
            .title_case_headers(true)
            .keep_alive(false)
            .max_headers(FIELDS)
            .max_header_size(HEAD)
            .max_buf_size(HEAD)
            .serve_connection(TokioIo::new(LingeringSocket::new(socket)), service);
        tokio::select! {
            end = timeout(time, connection) => match end {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%peer, %error, "plain HTTP failed"),
                Err(_elapsed) => tracing::debug!(%peer, "no plain HTTP within limits.handshake_timeout"),
            },
            () = slot.asked_to_leave() => tracing::debug!(%peer, "no plain HTTP while others wait"),
        }
    }

    async fn answer<B: Body>(&self, request: &Request<B>, peer: IpAddr) -> Response<Full<Bytes>> {
        let state = self.shared.state().clone();
        let path = target::decode(request.uri().path());
        let token = path.strip_prefix(CHALLENGE);
        if let (Some(token), &Method::GET) = (token, request.method()) {
            return challenge_response(state.tls.challenges.text(token).await);
        }
        let path = request.uri().path_and_query().map_or("/", |target| target.as_str());
        gate::check_plain(request, &state, peer, |host, is_behind_proxies| {
            // Proxies are reached at a port of their own.
            redirect(host, if is_behind_proxies { HTTPS } else { self.https_port }, path)
        })
    }
}

fn challenge_response(text: Option<String>) -> Response<Full<Bytes>> {
    let status = if text.is_some() { StatusCode::OK } else { StatusCode::NOT_FOUND };
    let mut response = Response::new(Full::from(text.unwrap_or_default()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}

/// 308 and not 301, so that clients repeat the method (RFC 9110, section 15.4.9).
fn redirect(host: &str, port: u16, target: &str) -> Response<Full<Bytes>> {
    let port = if port == HTTPS { String::new() } else { format!(":{port}") };
    let mut response = Response::default();
    match HeaderValue::try_from(format!("https://{host}{port}{target}")) {
        Ok(location) => {
            *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
            response.headers_mut().insert(LOCATION, location);
        }
        Err(_) => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_https_names_a_port_only_where_it_is_not_the_usual_one() {
        for (host, port, location) in [
            ("registry.test", 443, "https://registry.test/v2/?n=1"),
            ("registry.test", 8443, "https://registry.test:8443/v2/?n=1"),
            ("[::1]", 5043, "https://[::1]:5043/v2/?n=1"),
        ] {
            let response = redirect(host, port, "/v2/?n=1");
            assert_eq!(response.status(), StatusCode::PERMANENT_REDIRECT);
            assert_eq!(response.headers()[LOCATION], location);
        }
    }
}
