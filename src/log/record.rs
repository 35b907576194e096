//! What is logged about one request.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::header::traceparent::TraceId;
use crate::metrics::TlsSession;

/// What is logged about one request; printed, a line of the access log. No field may hold a secret:
/// only `host`, `user_agent` and the `id` of a trusted proxy come from header fields as they were
/// sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// When the request began.
    pub time: SystemTime,
    /// The id of the request: 8 hexadecimal digits for this process and the number of the request,
    /// or the `X-Request-Id` of a trusted proxy. The registry gets it too.
    pub id: String,
    /// The trace that a valid `traceparent` of the client names.
    pub trace_id: Option<TraceId>,
    /// The other end of the connection.
    pub peer: IpAddr,
    /// The client behind trusted proxies, else the peer.
    pub client: IpAddr,
    /// The authenticated user.
    pub user: Option<String>,
    /// Who has judged the credentials: `htpasswd`, `ldap`, `http`, the name of an issuer,
    /// `certificate` or `token`.
    pub source: Option<Cow<'static, str>>,
    /// The user that the client named without proof. Only the name of a user that exists: any other
    /// text may be a password.
    pub claimed: Option<String>,
    /// The name in the client's certificate. The certificate was valid unless `reason` says
    /// otherwise.
    pub certificate: Option<String>,
    /// The method as sent.
    pub method: String,
    /// The host and port that the client asked for, as sent by it or by a trusted proxy.
    pub host: String,
    /// The path without its query, which may hold the state of an upload or a token.
    pub path: String,
    /// The protocol of the client's connection.
    pub version: http::Version,
    /// How the client's connection is secured.
    pub tls: TlsSession,
    /// The name of the operation, see [`crate::registry::target::Operation::as_str`].
    pub operation: &'static str,
    /// The repository that the path names.
    pub repository: Option<String>,
    /// Tag, digest or upload id.
    pub reference: Option<String>,
    /// The status of the response.
    pub status: u16,
    /// Bytes of the request body that were read.
    pub bytes_in: u64,
    /// Bytes of the response body that were handed to the connection.
    pub bytes_out: u64,
    /// From the end of the request's head to the end of the response's body.
    pub duration: Duration,
    /// From the end of the request's head to the head of the response.
    pub first_byte: Option<Duration>,
    /// The server of the registry that was asked last, if any was.
    pub upstream: Option<Arc<str>>,
    /// Its address, if its name had to be looked up.
    pub upstream_address: Option<SocketAddr>,
    /// From sending the request to the registry to the head of its answer.
    pub upstream_time: Option<Duration>,
    /// How often the request was sent to the registry again; `None` if it was not forwarded.
    pub retries: Option<u32>,
    /// The `Docker-Content-Digest` of the answer, see [`crate::registry::name::is_digest`].
    pub digest: Option<String>,
    /// The `User-Agent` field, empty when none was sent.
    pub user_agent: String,
    /// The end that cut the transfer short.
    pub truncated: Option<Truncated>,
    /// Why tidegate refused the request or left out a part of it, or why the registry refused it.
    pub reason: Option<Cow<'static, str>>,
}

/// The end that cut a transfer short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truncated {
    /// The client went away, stalled or sent a malformed body.
    Client,
    /// The registry went away, stalled or sent a malformed body.
    Upstream,
}

impl Truncated {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Upstream => "upstream",
        }
    }
}
