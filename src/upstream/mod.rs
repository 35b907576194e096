//! The way to the registry: one [`Upstream`] per core, with connections of its own.
//!
//! A connection is polled inside the task of the request that uses it, so a chunk crosses no task
//! and no thread on its way through.

mod answer;
mod connect;
mod connection;
mod stream;

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, Response};
use rustls::ClientConfig;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::access::Permit;
use crate::body::{ClientBody, ClientFault, Flow};
use crate::config::ServerAddress;

pub(crate) use answer::{Answer, AnswerError};
use connection::{Connection, Failed};

/// Connections open at once, per core: more than requests should ever be under way.
const CONNECTIONS: usize = 2048;
/// Connections kept open for the next request, per core.
const IDLE_CONNECTIONS: usize = 64;
/// How long one is kept. A registry that closes idle connections does so later than this.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// Where the registry is and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// The address as configured.
    pub server: ServerAddress,
    /// For `https://`.
    pub tls: Option<Arc<ClientConfig>>,
    /// Name lookup, connect and TLS handshake together.
    pub connect_timeout: Duration,
    /// Longest silence: before the answer's head once the request is sent, and between bytes of its body.
    pub read_timeout: Duration,
}

/// Why there is no answer of the registry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No connection: refused, unreachable, unresolvable, bad certificate.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// Too many requests under way for another connection.
    #[error("too many connections are open")]
    Busy,
    /// No connection within `connect_timeout`.
    #[error("no connection within the connect timeout")]
    ConnectTimeout,
    /// Connected, and then no head of an answer.
    #[error("no answer: {0}")]
    NoAnswer(hyper::Error),
    /// No head of an answer within `read_timeout`.
    #[error("no answer within the read timeout")]
    Silent,
    /// Nothing is wrong with the registry: the client's body ended badly.
    #[error("the client's body ended badly: {0:?}")]
    Client(ClientFault),
}

/// The connections of one core.
pub(crate) struct Upstream {
    idle: RefCell<VecDeque<Idle>>,
    places: Arc<Semaphore>,
}

struct Idle {
    connection: Connection,
    server: ServerAddress,
    since: Instant,
}

impl Default for Upstream {
    fn default() -> Self {
        Self { idle: RefCell::default(), places: Arc::new(Semaphore::new(CONNECTIONS)) }
    }
}

impl Upstream {
    /// Sends a request and waits for the head of its answer. `request` is in origin-form, with the
    /// framing and the headers that the registry is to see; `flow` is the one its body writes to.
    ///
    /// A request is sent a second time only when not a byte of it was written, or, once and on a fresh
    /// connection, when it is a GET or HEAD and a connection from the pool ended without a whole head of an answer.
    pub(crate) async fn send(
        self: &Rc<Self>,
        _permit: &Permit,
        to: &Destination,
        mut request: Request<ClientBody>,
        flow: &Rc<Flow>,
    ) -> Result<Response<Answer>, UpstreamError> {
        while let Some(mut connection) = self.checkout(&to.server) {
            let safe = matches!(*request.method(), Method::GET | Method::HEAD);
            let again = safe.then(|| head_of(&request));
            match connection.send(request, flow, to.read_timeout).await {
                Ok(response) => return Ok(self.answer(connection, response, to, flow)),
                Err(Failed::Unsent(unsent)) => request = *unsent,
                Err(Failed::Sent(error)) => match again.filter(|_| error.is_dead_connection()) {
                    Some(head) => {
                        request = head.map(|()| ClientBody::empty(flow.clone()));
                        break;
                    }
                    None => return Err(error.into_upstream(flow)),
                },
            }
        }
        let mut connection = connect::connect(to, &self.places).await?;
        match connection.send(request, flow, to.read_timeout).await {
            Ok(response) => Ok(self.answer(connection, response, to, flow)),
            Err(Failed::Sent(error)) => Err(error.into_upstream(flow)),
            Err(Failed::Unsent(_)) => Err(UpstreamError::Connect(io::ErrorKind::ConnectionReset.into())),
        }
    }

    /// Closes the connections that the registry has closed or nobody has used for a while. To be
    /// called now and then.
    pub(crate) fn sweep(&self) {
        self.idle
            .borrow_mut()
            .retain_mut(|idle| idle.since.elapsed() < IDLE_TIME && idle.connection.is_usable());
    }

    fn checkout(&self, server: &ServerAddress) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut candidate) = idle.pop_back() {
            let fits = candidate.server == *server && candidate.since.elapsed() < IDLE_TIME;
            if fits && candidate.connection.is_usable() {
                return Some(candidate.connection);
            }
        }
        None
    }

    /// Takes a connection back whose answer was read to its end.
    fn checkin(&self, mut connection: Connection, server: ServerAddress) {
        if !connection.is_usable() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        if idle.len() == IDLE_CONNECTIONS {
            idle.pop_front();
        }
        idle.push_back(Idle { connection, server, since: Instant::now() });
    }

    fn answer(
        self: &Rc<Self>,
        connection: Connection,
        response: Response<hyper::body::Incoming>,
        to: &Destination,
        flow: &Rc<Flow>,
    ) -> Response<Answer> {
        response.map(|incoming| Answer::new(incoming, connection, self.clone(), to, flow.clone()))
    }
}

/// A copy of a request that has no body.
fn head_of(request: &Request<ClientBody>) -> Request<()> {
    let mut head = Request::new(());
    *head.method_mut() = request.method().clone();
    *head.uri_mut() = request.uri().clone();
    *head.version_mut() = request.version();
    *head.headers_mut() = request.headers().clone();
    head
}
