//! Why the registry has not answered.

use std::io;

use crate::body::ClientFault;

/// Why there is no answer of the registry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// No connection: refused, unreachable, unresolvable, or an invalid certificate.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// So many requests are running that no further connection may be opened.
    #[error("too many connections are open")]
    Busy,
    /// No connection within `connect_timeout`.
    #[error("no connection within the connect timeout")]
    ConnectTimeout,
    /// The connection has failed before the head of the answer.
    #[error("no answer: {0}")]
    NoAnswer(hyper::Error),
    /// No head of an answer within `read_timeout`.
    #[error("no answer within the read timeout")]
    Silent,
    /// The fault is the client's: its body ended badly.
    #[error("the client's body ended badly: {0:?}")]
    Client(ClientFault),
}
