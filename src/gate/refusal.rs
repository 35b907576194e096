//! The reasons for which a request is refused.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};

use crate::body::ClientFault;
use crate::header::credentials::TwoAuthorizations;
use crate::live_file::Unread;
use crate::log::audit::{Event, Outcome};
use crate::metrics::Refused;
use crate::registry::grant::BadTokenRequest;
use crate::registry::scope::Scope;
use crate::token::NotIssued;
use crate::upstream::UpstreamError;

/// What the access log says of a user who lacks a right.
pub(super) const DENIED: &str = "this user may not do this";

/// What the access log says of a client without a certificate where one is needed.
pub(super) const NO_CERTIFICATE: &str = "no client certificate";

/// Why a request is not forwarded, or the registry's answer not returned.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request is not well-formed HTTP, or can be read in two ways.
    Malformed(&'static str),
    /// The request came without TLS to a port for HTTPS.
    Plaintext,
    /// The path or the query can be read in two ways.
    Path,
    /// The host is not among `server.names`.
    Misdirected,
    /// The host needs a client certificate, and the connection was opened without asking for one.
    Unasked,
    /// There is no valid client certificate: the configured status, and the reason for the log
    /// alone.
    Certificate(StatusCode, &'static str),
    /// `user_agents` denies the client: the configured status.
    Agent(StatusCode),
    /// A page asks from an origin that is not among `cors.origins`.
    ForeignOrigin,
    /// The path is `/v2` without its slash: the query.
    Moved(Option<String>),
    /// The path is outside of `/v2/`.
    NoSuchPath,
    /// The registry API does not have the method.
    Method,
    /// The path does not have the method: the methods that it has.
    NoMethod(&'static str),
    /// The path is within `/v2/`, but the API does not have it.
    NoPath,
    /// The id of an upload is not one that the registry gave for this repository.
    NoUpload,
    /// There is an `Expect` other than `100-continue`.
    Expectation,
    /// The head of the request exceeds a limit.
    HeadTooLarge,
    /// The head is small enough but for its `Range`. podman asks for fewer ranges on 400, and gives
    /// up on any other status.
    TooManyRanges,
    /// The client is not authenticated. `reason` is for the log, `client_message` for the client.
    Unauthorized {
        reason: Cow<'static, str>,
        client_message: String,
        challenge: Option<HeaderValue>,
        /// Whether sessions begin or go on like this: the client comes again with its password or
        /// another token.
        is_routine: bool,
    },
    /// The token is valid but does not allow the request; a better token may.
    Insufficient {
        missing: Scope,
        is_stranger: bool,
        /// Whether the client can get a token that is sufficient.
        is_routine: bool,
        reason: &'static str,
        client_message: String,
        challenge: Option<HeaderValue>,
    },
    /// The token endpoint cannot use the request.
    BadTokenRequest(&'static str),
    /// The identity is known and lacks these rights.
    Denied { missing: Scope, client_message: String },
    /// A policy for everybody forbids the request: the message, and the methods that the path still
    /// has.
    NotOffered { message: &'static str, methods: &'static str },
    /// The request would change an immutable tag: the message for the client.
    Immutable(String),
    /// The `n` of a list is not a number.
    PageSize,
    /// The registry refused a question that the request depends on: its answer.
    Registry(Box<Response<Bytes>>),
    /// Too many passwords are waiting to be checked.
    Busy,
    /// A file that decides about the request has changed and cannot be read.
    Unread,
    /// The audit log cannot be written, and `log.audit_required` is set.
    Unaudited,
    /// The engine that replicas share is away, and only it knows whether another replica pushes the
    /// tag.
    Unshared,
    /// The system provides no random numbers for the signature of a token.
    Unsigned,
    /// There were too many wrong passwords: the time until the next one is checked.
    Throttled(Duration),
    /// The password is wrong, and so were many from this network: the time until the answer, and
    /// the reason for the log.
    WrongAgain(Duration, &'static str),
    /// The directory, service or issuer that judges the login cannot be asked now.
    NoSource,
    /// Too many requests are under way.
    Crowded,
    /// The body exceeds the limit for its kind.
    BodyTooLarge,
    /// The client's body is incomplete, malformed or too slow.
    Client(ClientFault),
    /// The registry's answer is not valid: the reason for the program's log.
    BadGateway(String),
    /// The registry cannot be reached or does not answer.
    NoAnswer(UpstreamError),
    /// The registry did not answer in time.
    GatewayTimeout,
}

impl Refusal {
    /// Whether sessions that go well have it.
    pub(super) fn is_routine(&self) -> bool {
        match self {
            Self::Unauthorized { is_routine, .. } | Self::Insufficient { is_routine, .. } => *is_routine,
            Self::Moved(_) => true,
            _ => false,
        }
    }

    /// What the refusal counts as; `None` if the registry is why.
    pub(super) fn kind(&self) -> Option<Refused> {
        Some(match self {
            Self::Malformed(_)
            | Self::Plaintext
            | Self::Path
            | Self::Misdirected
            | Self::Moved(_)
            | Self::NoSuchPath
            | Self::Method
            | Self::NoMethod(_)
            | Self::NoPath
            | Self::NoUpload
            | Self::Expectation
            | Self::BadTokenRequest(_)
            | Self::PageSize
            | Self::Client(ClientFault::Malformed | ClientFault::Gone) => Refused::Malformed,
            Self::Unasked | Self::Certificate(..) => Refused::Certificate,
            Self::Agent(_) => Refused::Agent,
            Self::HeadTooLarge
            | Self::TooManyRanges
            | Self::BodyTooLarge
            | Self::Client(ClientFault::TooLarge | ClientFault::TooSlow) => Refused::Limit,
            Self::Unauthorized { .. } => Refused::Credentials,
            Self::Insufficient { is_stranger, is_routine, .. } if *is_stranger || *is_routine => {
                Refused::Credentials
            }
            Self::Insufficient { .. } | Self::Denied { .. } | Self::ForeignOrigin => Refused::Rule,
            Self::NotOffered { .. } => Refused::ReadOnly,
            Self::Immutable(_) => Refused::Immutable,
            Self::Busy
            | Self::NoSource
            | Self::Crowded
            | Self::Unread
            | Self::Unaudited
            | Self::Unshared
            | Self::Unsigned => Refused::Busy,
            Self::Throttled(_) | Self::WrongAgain(..) => Refused::Throttle,
            Self::Registry(_) | Self::BadGateway(_) | Self::NoAnswer(_) | Self::GatewayTimeout => {
                return None;
            }
        })
    }

    /// The event that the refusal is for the audit log, and its outcome. `None` for what happens
    /// in every session, and for what says nothing about a user or a rule.
    pub(super) fn event(&self) -> Option<(Event, Outcome)> {
        match self {
            Self::Unauthorized { is_routine: false, .. }
            | Self::WrongAgain(..)
            | Self::Busy
            | Self::NoSource => Some((Event::Login, Outcome::Failure)),
            Self::Throttled(_) => Some((Event::Login, Outcome::Denied)),
            Self::Certificate(_, NO_CERTIFICATE) => None,
            Self::Certificate(..)
            | Self::Insufficient { is_stranger: false, is_routine: false, .. }
            | Self::Denied { .. }
            | Self::NotOffered { .. }
            | Self::Immutable(_) => Some((Event::Refused, Outcome::Denied)),
            Self::Unaudited => Some((Event::Refused, Outcome::Failure)),
            _ => None,
        }
    }
}

impl From<TwoAuthorizations> for Refusal {
    fn from(_: TwoAuthorizations) -> Self {
        Self::Malformed("two Authorization fields")
    }
}

impl From<Unread> for Refusal {
    fn from(_: Unread) -> Self {
        Self::Unread
    }
}

impl From<BadTokenRequest> for Refusal {
    fn from(BadTokenRequest(message): BadTokenRequest) -> Self {
        Self::BadTokenRequest(message)
    }
}

impl From<NotIssued> for Refusal {
    fn from(reason: NotIssued) -> Self {
        match reason {
            NotIssued::TooLong => Self::BadTokenRequest("the scopes are more than one token can hold"),
            NotIssued::Unsigned => Self::Unsigned,
            NotIssued::NotUtf8 => {
                Self::BadTokenRequest("no token can be made for a user whose name is not UTF-8")
            }
        }
    }
}

impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Client(ClientFault::TooLarge) => Self::BodyTooLarge,
            UpstreamError::Client(fault) => Self::Client(fault),
            UpstreamError::Busy => Self::Crowded,
            UpstreamError::Silent => Self::GatewayTimeout,
            UpstreamError::Name(_)
            | UpstreamError::Connect(_)
            | UpstreamError::Tls(_)
            | UpstreamError::ConnectTimeout
            | UpstreamError::Closed(_)
            | UpstreamError::Vanished
            | UpstreamError::AllDown(_)
            | UpstreamError::Full
            | UpstreamError::NotHttp(_) => Self::NoAnswer(error),
        }
    }
}
