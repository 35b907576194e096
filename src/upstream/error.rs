//! Why the registry has not answered.

use std::io;

use super::answer_head::NotHttp;
use crate::body::{ClientError, ClientFault};

/// Why there is no answer of the registry.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// The name of the registry has no address.
    #[error("cannot resolve the name: {0}")]
    Name(io::Error),
    /// No connection: refused or unreachable.
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    /// The connection is there, TLS is not: an invalid certificate, or no TLS at all.
    #[error("no TLS: {0}")]
    Tls(io::Error),
    /// So many requests are running that no further connection may be opened.
    #[error("too many connections are open")]
    Busy,
    /// As many connections to the server are open as `upstream.connections` allows, and none became
    /// free in time.
    #[error("all of upstream.connections are in use")]
    Full,
    /// No address of the registry takes requests: why the last one did not.
    #[error("none of its servers can be used{}", .0.as_ref().map_or_else(String::new, |last| format!("; the last one: {last}")))]
    AllDown(Option<Box<UpstreamError>>),
    /// No connection within `connect_timeout`.
    #[error("no connection within the connect timeout")]
    ConnectTimeout,
    /// The registry has ended the connection before the whole head of the answer.
    #[error("it closed the connection without an answer: {0}")]
    Closed(Broken),
    /// The registry's machine acknowledges nothing.
    #[error("its machine has vanished: nothing that was sent is acknowledged")]
    Vanished,
    /// The answer is not valid HTTP.
    #[error("its answer is not HTTP: {0}")]
    NotHttp(NotHttp),
    /// No head of an answer within `read_timeout`.
    #[error("no answer within the read timeout")]
    Silent,
    /// The fault is the client's: its body ended badly.
    #[error("the client's body ended badly: {0:?}")]
    Client(ClientFault),
}

impl UpstreamError {
    /// A connection that failed before the whole head of an answer.
    pub(super) fn of_connection(broken: Broken) -> Self {
        match broken {
            Broken::NotHttp(reason) => Self::NotHttp(reason),
            Broken::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::Vanished,
            _ => Self::Closed(broken),
        }
    }

    /// What happened, for clients: without an address or anything else about the inside.
    pub(crate) fn for_client(&self) -> &'static str {
        match self {
            Self::Name(_) => {
                "the name of the registry behind this host cannot be resolved; tell the operator"
            }
            Self::Connect(cause) if cause.kind() == io::ErrorKind::ConnectionRefused => {
                "the registry behind this host refuses connections; try again later"
            }
            Self::Connect(_) => "the registry behind this host cannot be reached; try again later",
            Self::Tls(_) => "the registry behind this host failed the TLS handshake; tell the operator",
            Self::ConnectTimeout => {
                "the registry behind this host did not accept a connection in time; try again later"
            }
            Self::AllDown(_) => {
                "no server of the registry behind this host can be used; try again in a few seconds"
            }
            Self::Full => "the registry behind this host is busy; try again in a few seconds",
            Self::Closed(_) => {
                "the registry behind this host closed the connection without an answer; try again later"
            }
            Self::Vanished => "the registry behind this host has stopped responding; try again later",
            Self::NotHttp(_) => {
                "the registry behind this host gave an answer that is not HTTP; tell the operator"
            }
            Self::Silent | Self::Busy | Self::Client(_) => {
                "the registry behind this host did not answer in time; try again later"
            }
        }
    }
}

/// Why a connection cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("it ended too early")]
    Ended,
    #[error(transparent)]
    Io(io::Error),
    #[error("invalid HTTP: {0}")]
    NotHttp(#[from] NotHttp),
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the client's body has not the length that was announced")]
    Length,
}
