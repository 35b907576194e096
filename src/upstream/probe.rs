//! What tidegate asks of a server by itself: its addresses, and whether one of them is healthy.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use http::header::{AUTHORIZATION, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use tokio::net::lookup_host;
use tokio::time::Instant;

use super::connect::connect;
use super::connection::SendError;
use super::endpoint::Endpoint;
use super::error::UpstreamError;
use super::outgoing::Outgoing;
use super::registry::Registry;
use super::server::Server;
use crate::body::{ClientBody, FairQueue, Flow};

/// The answer to a check.
pub(crate) struct Probed {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
}

/// The addresses of a host, as the system resolves them. May take as long as the resolver's
/// patience.
pub(crate) async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    Ok(lookup_host((host, port)).await?.collect())
}

/// Asks one address for the registry's `health_path`, over a new connection, with at most
/// `patience` for each of connection and answer. No permit is needed: nothing of a client's goes
/// there. `None` if all connections to the server are in use.
pub(crate) async fn probe(
    registry: &Registry,
    server: &Server,
    endpoint: &Endpoint,
    patience: Duration,
) -> Option<Result<Probed, UpstreamError>> {
    let _permit = server.try_permit()?;
    Some(ask(registry, server, endpoint, patience).await)
}

async fn ask(
    registry: &Registry,
    server: &Server,
    endpoint: &Endpoint,
    patience: Duration,
) -> Result<Probed, UpstreamError> {
    let flow = Rc::new(Flow::new(Rc::new(FairQueue::default())));
    let wrong = |error: &dyn std::error::Error| {
        UpstreamError::Connect(io::Error::new(io::ErrorKind::InvalidInput, error.to_string()))
    };
    let host =
        HeaderValue::try_from(server.address.authority().to_string()).map_err(|error| wrong(&error))?;
    let mut request = Request::get(registry.health_path.as_str())
        .header(HOST, host)
        .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .body(ClientBody::empty(flow.clone()))
        .map_err(|error| wrong(&error))?;
    registry.address(&mut request).map_err(|error| wrong(&error))?;
    if let Some(login) = &registry.login {
        request.headers_mut().insert(AUTHORIZATION, login.clone());
    }
    let deadline = Instant::now() + registry.connect_timeout.min(patience);
    let mut connection = connect(server, endpoint, deadline).await?;
    let answer = connection
        .send(Outgoing::new(request), &flow, Instant::now(), registry.read_timeout.min(patience))
        .await;
    match answer {
        Ok(answer) => {
            let (head, _) = answer.into_parts();
            Ok(Probed { status: head.status, headers: head.headers })
        }
        Err(SendError::Sent(error)) => Err(error.into_upstream(&flow)),
        Err(SendError::Unsent(_)) => Err(UpstreamError::Connect(io::ErrorKind::ConnectionReset.into())),
    }
}
