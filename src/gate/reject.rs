//! Every refusal, and the one place that turns it into a response.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response, StatusCode, Version};
use http_body_util::Full;
use serde_json::Value;
use tokio::time::sleep;

use super::head_checks::METHODS;
use super::reply::{API_VERSION, API_VERSION_VALUE, Source};
use super::request_log::RequestLog;
use crate::body::ClientFault;
use crate::header::credentials::TwoAuthorizations;
use crate::registry::error::{self, Code, error_body};
use crate::registry::grant::BadTokenRequest;
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::state::State;
use crate::upstream::UpstreamError;

/// Longer than thousands of other requests take, and too short for a person to notice.
const DELAY: Duration = Duration::from_millis(20);
/// What the log says of somebody who lacks a right.
pub(super) const DENIED: &str = "this user may not do this";

/// Why a request is not forwarded, or its answer not handed on.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The request is not well-formed HTTP, or can be read in two ways.
    Malformed(&'static str),
    /// Its path or query can.
    Path,
    /// A host that is not among `server.names`.
    Misdirected,
    /// A host that wants client certificates, on a connection on which none was asked for.
    Unasked,
    /// No client certificate that counts: the status configured for it, and the reason for the log alone.
    Certificate(StatusCode, &'static str),
    /// A user agent that is not admitted, and the status configured for it.
    Agent(StatusCode),
    /// A path outside of `/v2/`.
    NoSuchPath,
    /// A method outside of the API.
    Method,
    /// A path of the API with a method that it does not have; those that it has.
    NoMethod(&'static str),
    /// A path within `/v2/` that is none of the API.
    NoPath,
    /// An `Expect` other than `100-continue`.
    Expectation,
    /// The head of the request is over its limit.
    HeadTooLarge,
    /// Nobody knows who this is; the reason is for the log, what he is told of it for himself.
    Unauthorized { reason: &'static str, client_message: Option<String>, challenge: Option<HeaderValue> },
    /// The token counts and does not go so far; a better one may.
    Insufficient {
        missing: Scope,
        is_stranger: bool,
        reason: &'static str,
        sentence: String,
        challenge: Option<HeaderValue>,
    },
    /// What is asked of the token endpoint makes no sense.
    BadTokenRequest(&'static str),
    /// It is known who this is, and he may not; the rights that he lacks.
    Denied(Scope),
    /// A policy that holds for everybody: the sentence for it, and the methods that the path still has.
    NotOffered { sentence: &'static str, methods: &'static str },
    /// It would change what is to stay; the sentence says what.
    Immutable(String),
    /// The `n` of a list is no number.
    PageSize,
    /// The registry refused what it was asked to decide on the request; this is what it said.
    Registry(Box<Response<Bytes>>),
    /// Too many passwords wait to be checked.
    Busy,
    /// Too many passwords were wrong; after this time the next one is checked.
    Throttled(Duration),
    /// Too many requests are under way.
    Crowded,
    /// The body is over the limit for its kind.
    BodyTooLarge,
    /// The client's body ended badly.
    Client(ClientFault),
    /// The registry cannot be reached or answers what is no answer; the sentence is for the log.
    BadGateway(String),
    /// The registry is silent.
    GatewayTimeout,
}

impl From<TwoAuthorizations> for Refusal {
    fn from(_: TwoAuthorizations) -> Self {
        Self::Malformed("two Authorization fields")
    }
}

impl From<BadTokenRequest> for Refusal {
    fn from(BadTokenRequest(sentence): BadTokenRequest) -> Self {
        Self::BadTokenRequest(sentence)
    }
}

impl From<UpstreamError> for Refusal {
    fn from(error: UpstreamError) -> Self {
        match error {
            UpstreamError::Client(ClientFault::TooLarge) => Self::BodyTooLarge,
            UpstreamError::Client(fault) => Self::Client(fault),
            UpstreamError::Busy => Self::Crowded,
            UpstreamError::Silent => Self::GatewayTimeout,
            UpstreamError::Connect(_) | UpstreamError::ConnectTimeout | UpstreamError::NoAnswer(_) => {
                Self::BadGateway(error.to_string())
            }
        }
    }
}

/// Who is told to wait is not told at once: one who asks again and again would take the time of those who are in.
pub(super) async fn delay(refusal: &Refusal) {
    if matches!(refusal, Refusal::Throttled(_)) {
        sleep(DELAY).await;
    }
}

/// Makes the response. `unread` says that a request body may still be on its way: the connection then ends with this answer.
pub(super) fn respond(
    mut refusal: Refusal,
    state: &State,
    unread: bool,
    log: &mut RequestLog,
) -> Response<Source> {
    let (status, code, message) = describe(&refusal);
    log.refused(message);
    match &refusal {
        Refusal::BadGateway(reason) => {
            tracing::warn!(server = %state.destination.server, %reason, "the registry did not answer");
        }
        Refusal::GatewayTimeout => {
            tracing::warn!(server = %state.destination.server, "the registry was silent for upstream.read_timeout");
        }
        Refusal::Unauthorized { reason, .. } | Refusal::Certificate(_, reason) => log.refused(reason),
        _ => {}
    }
    let response = match &mut refusal {
        Refusal::Registry(answer) => std::mem::take(&mut **answer),
        Refusal::Immutable(sentence) => stated(status, code, sentence, None),
        Refusal::Denied(missing) => {
            stated(status, code, &denial("this user may not", missing), Some(error::detail(missing)))
        }
        Refusal::Insufficient { missing, sentence, .. } => {
            stated(status, code, sentence, Some(error::detail(missing)))
        }
        Refusal::Unauthorized { client_message: Some(client_message), .. } => {
            stated(status, code, client_message, None)
        }
        _ => stated(status, code, message, None),
    };
    let mut response = response.map(Source::from);
    let headers = response.headers_mut();
    match &refusal {
        Refusal::Unauthorized { challenge: Some(challenge), .. }
        | Refusal::Insufficient { challenge: Some(challenge), .. } => {
            headers.insert(WWW_AUTHENTICATE, challenge.clone());
        }
        Refusal::Method => _ = headers.insert(ALLOW, HeaderValue::from_static(METHODS)),
        Refusal::NoMethod(methods) => _ = headers.insert(ALLOW, HeaderValue::from_static(methods)),
        Refusal::NotOffered { methods, .. } => _ = headers.insert(ALLOW, HeaderValue::from_static(methods)),
        Refusal::Throttled(left) => _ = headers.insert(RETRY_AFTER, whole_seconds(*left)),
        Refusal::Busy | Refusal::Crowded => _ = headers.insert(RETRY_AFTER, HeaderValue::from_static("2")),
        _ => {}
    }
    let in_doubt =
        matches!(refusal, Refusal::Malformed(_) | Refusal::Path | Refusal::Method | Refusal::Client(_));
    let elsewhere = matches!(refusal, Refusal::Misdirected | Refusal::Unasked);
    if (unread || in_doubt || elsewhere) && log.version() < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Not a moment too early.
fn whole_seconds(left: Duration) -> HeaderValue {
    (left + Duration::from_nanos(999_999_999)).as_secs().max(1).into()
}

/// The response to a refusal that only the head of a request can cause, and that no log is to know of.
pub(super) fn answer(refusal: &Refusal) -> Response<Full<Bytes>> {
    let (status, code, message) = describe(refusal);
    stated(status, code, message, None).map(Full::new)
}

fn stated(status: StatusCode, code: Code, message: &str, detail: Option<Value>) -> Response<Bytes> {
    let mut response = Response::new(error_body(code, message, detail));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(API_VERSION, API_VERSION_VALUE);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // As the registry itself has it on its answers.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// What somebody may not, in words for him; the log has user and repository in fields of their own.
pub(super) fn denial(who: &str, missing: &Scope) -> String {
    let action = match missing.rights {
        Rights::PULL => "pull from",
        Rights::DELETE => "delete from",
        _ => "push to",
    };
    match &missing.resource {
        Resource::Repository(name) => format!("{who} {action} {name}"),
        Resource::Catalog => format!("{who} list the repositories"),
    }
}

/// What the client may know. The codes are those of the distribution specification.
fn describe(refusal: &Refusal) -> (StatusCode, Code, &'static str) {
    match refusal {
        Refusal::Malformed(reason) => (StatusCode::BAD_REQUEST, Code::Unsupported, reason),
        Refusal::Path => {
            (StatusCode::BAD_REQUEST, Code::NameInvalid, "the path or query can be read in more than one way")
        }
        Refusal::Misdirected => {
            (StatusCode::MISDIRECTED_REQUEST, Code::Unsupported, "this host name is not served here")
        }
        Refusal::Unasked => (
            StatusCode::MISDIRECTED_REQUEST,
            Code::Denied,
            "this host name needs a connection of its own, on which a client certificate is asked for",
        ),
        Refusal::Certificate(StatusCode::NOT_FOUND, _) => {
            (StatusCode::NOT_FOUND, Code::NameUnknown, "there is nothing here")
        }
        Refusal::Certificate(status, _) => {
            (*status, Code::Denied, "a valid client certificate of an accepted CA is required")
        }
        Refusal::Agent(status) => {
            (*status, Code::Unsupported, "this client is too old for a registry of version 2")
        }
        Refusal::NoSuchPath => (StatusCode::NOT_FOUND, Code::Unsupported, "only /v2/ is served here"),
        Refusal::Method => {
            (StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, "the method is not one of the registry API")
        }
        Refusal::NoMethod(_) => {
            (StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, "this path does not have this method")
        }
        Refusal::NoPath => (StatusCode::NOT_FOUND, Code::Unsupported, "not a request of the registry API"),
        Refusal::Expectation => {
            (StatusCode::EXPECTATION_FAILED, Code::Unsupported, "only Expect: 100-continue is understood")
        }
        Refusal::HeadTooLarge => (
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Code::Unsupported,
            "the head of the request is larger than allowed",
        ),
        Refusal::Unauthorized { .. } => {
            (StatusCode::UNAUTHORIZED, Code::Unauthorized, "authentication required")
        }
        Refusal::Insufficient { is_stranger, reason, .. } => {
            let code = if *is_stranger { Code::Unauthorized } else { Code::Denied };
            (StatusCode::UNAUTHORIZED, code, reason)
        }
        Refusal::BadTokenRequest(sentence) => (StatusCode::BAD_REQUEST, Code::Unsupported, sentence),
        Refusal::Denied(_) => (StatusCode::FORBIDDEN, Code::Denied, DENIED),
        Refusal::NotOffered { sentence, .. } => (StatusCode::METHOD_NOT_ALLOWED, Code::Unsupported, sentence),
        Refusal::Immutable(_) => (StatusCode::CONFLICT, Code::Denied, "the tag is immutable"),
        Refusal::PageSize => {
            (StatusCode::BAD_REQUEST, Code::PaginationNumberInvalid, "n has to be a whole number")
        }
        Refusal::Registry(answer) => {
            (answer.status(), Code::Unknown, "the registry refused what it was asked first")
        }
        Refusal::Busy => {
            (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "too many logins at once, try again soon")
        }
        Refusal::Throttled(_) => (
            StatusCode::TOO_MANY_REQUESTS,
            Code::TooManyRequests,
            "too many failed logins of this user from your address, try again later",
        ),
        Refusal::Crowded => {
            (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "too many requests at once, try again soon")
        }
        Refusal::BodyTooLarge => {
            (StatusCode::PAYLOAD_TOO_LARGE, Code::SizeInvalid, "the manifest is larger than allowed")
        }
        Refusal::Client(ClientFault::TooSlow) => {
            (StatusCode::REQUEST_TIMEOUT, Code::Unknown, "the request body came too slowly")
        }
        Refusal::Client(_) => (StatusCode::BAD_REQUEST, Code::Unknown, "the request body ended badly"),
        Refusal::BadGateway(_) => {
            (StatusCode::BAD_GATEWAY, Code::Unavailable, "the registry cannot be reached")
        }
        Refusal::GatewayTimeout => {
            (StatusCode::GATEWAY_TIMEOUT, Code::Unavailable, "the registry did not answer in time")
        }
    }
}
