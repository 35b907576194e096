//! Turns a refusal into a response: one row per refusal, and the printer of a row.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, LOCATION, RETRY_AFTER, WARNING, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderName, HeaderValue, Response, StatusCode, Version};
use serde_json::Value;

use super::recent::RecentRefusals;
use super::refusal::{DENIED, Refusal};
use super::reply::{API_VERSION, API_VERSION_VALUE, Source};
use super::request_log::{REGISTRY_ASKS, RequestLog};
use crate::body::ClientFault;
use crate::header::warning::warning;
use crate::registry::error::{self, Code, error_body};
use crate::registry::target;
use crate::upstream::UpstreamError;

/// Longer than thousands of other requests take, and too short for a person to notice.
const DELAY: Duration = Duration::from_millis(20);
/// Less than [`SOON`], and longer than a queue of passwords needs for several.
const BUSY_DELAY: Duration = Duration::from_secs(1);
/// Seconds after which a client may retry when tidegate is busy.
const SOON: HeaderValue = HeaderValue::from_static("2");
/// The same when a directory, a service or an issuer cannot be asked.
const SOURCE_BACK: HeaderValue = HeaderValue::from_static("5");

/// How long the response is held back. A 429 is delayed, and so is a 503 for want of a source, so
/// that a client that retries in a loop leaves time and room for the others.
pub(super) fn delay(refusal: &Refusal) -> Duration {
    match refusal {
        Refusal::Throttled(_) | Refusal::NoSource => DELAY,
        Refusal::Busy | Refusal::Crowded => BUSY_DELAY,
        Refusal::WrongAgain(delay, _) => *delay,
        _ => Duration::ZERO,
    }
}

/// The response to `refusal`. `unread` says that a request body may still be on its way: an
/// HTTP/1.1 connection then closes after this response.
pub(super) fn respond(
    refusal: Refusal,
    unread: bool,
    log: &RequestLog,
    recent: &RecentRefusals,
) -> Response<Source> {
    warn(&refusal, log);
    log.trail().refused(&refusal);
    let (kind, is_routine) = (refusal.kind(), refusal.is_routine());
    let row = row(refusal);
    log.reason(row.reason.clone());
    if let Some(kind) = kind {
        log.refused(kind);
        if !is_routine {
            log.show(recent, kind, row.status);
        }
    }
    let closes = (unread || row.closes) && log.version() < Version::HTTP_2;
    let mut response = print(row).map(Source::from);
    if closes {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// The response to a refusal of a request that is not logged.
pub(super) fn answer(refusal: Refusal) -> Response<Bytes> {
    print(row(refusal))
}

/// The operator learns why the registry did not answer; the client does not.
fn warn(refusal: &Refusal, log: &RequestLog) {
    let server = log.server().unwrap_or_default();
    match refusal {
        Refusal::BadGateway(reason) => tracing::warn!(%server, %reason, "the registry's answer is not valid"),
        Refusal::NoAnswer(reason) => tracing::warn!(%server, %reason, "the registry did not answer"),
        Refusal::GatewayTimeout => {
            tracing::warn!(%server, "the registry was silent for upstream.read_timeout");
        }
        _ => {}
    }
}

/// What the client and the access log get for one refusal.
struct Row {
    status: StatusCode,
    code: Code,
    /// For the client.
    message: Cow<'static, str>,
    detail: Option<Value>,
    header: Option<(HeaderName, HeaderValue)>,
    /// Whether clients are to print the message as a warning. Not in a session that goes well.
    warns: bool,
    /// Whether an HTTP/1.1 connection ends with this response.
    closes: bool,
    /// For the access log, whose line has user and repository in fields of their own.
    reason: Cow<'static, str>,
    /// The registry's own answer, sent in place of all the above.
    answer: Option<Box<Response<Bytes>>>,
}

impl Row {
    /// A row whose `message` is good for client and log.
    fn new(status: StatusCode, code: Code, message: &'static str) -> Self {
        Self {
            status,
            code,
            message: Cow::Borrowed(message),
            detail: None,
            header: None,
            warns: true,
            closes: false,
            reason: message.into(),
            answer: None,
        }
    }

    fn reason(self, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { reason: reason.into(), ..self }
    }

    fn message(self, message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), ..self }
    }

    fn header(self, name: HeaderName, value: impl Into<Option<HeaderValue>>) -> Self {
        Self { header: value.into().map(|value| (name, value)), ..self }
    }

    fn allowing(self, methods: &'static str) -> Self {
        self.header(ALLOW, HeaderValue::from_static(methods))
    }

    fn detail(self, detail: Value) -> Self {
        Self { detail: Some(detail), ..self }
    }

    fn warning_unless(self, is_routine: bool) -> Self {
        Self { warns: !is_routine, ..self }
    }

    fn closing(self) -> Self {
        Self { closes: true, ..self }
    }
}

/// The codes are those of the distribution specification.
fn row(refusal: Refusal) -> Row {
    use {Code as C, Refusal as R, StatusCode as S};
    match refusal {
        R::Malformed(reason) => Row::new(S::BAD_REQUEST, C::Unsupported, reason).closing(),
        R::Plaintext => Row::new(
            S::BAD_REQUEST,
            C::Unsupported,
            "this port is for HTTPS and the request was sent as plain HTTP; use https://",
        )
        .closing(),
        R::Path => {
            Row::new(S::BAD_REQUEST, C::NameInvalid, "the path or query can be read in more than one way")
                .closing()
        }
        R::Misdirected => Row::new(
            S::MISDIRECTED_REQUEST,
            C::Unsupported,
            "this host name is not served here; check the address of the registry",
        )
        .closing(),
        R::Unasked => Row::new(
            S::MISDIRECTED_REQUEST,
            C::Denied,
            "this host name needs a separate connection with a client certificate",
        )
        .closing(),
        R::Certificate(S::NOT_FOUND, reason) => {
            Row::new(S::NOT_FOUND, C::NameUnknown, reason).message("there is nothing here")
        }
        R::Certificate(status, reason) => Row::new(status, C::Denied, reason)
            .message("a valid client certificate of an accepted CA is required"),
        R::Agent(status) => {
            Row::new(status, C::Unsupported, "this client is too old for a registry of version 2")
        }
        R::ForeignOrigin => {
            Row::new(S::FORBIDDEN, C::Denied, "pages of this origin may not use the registry (cors.origins)")
        }
        R::Moved(query) => {
            // As the registry does it, without a password and for every method.
            let location = query.map_or("/v2/".to_owned(), |query| format!("/v2/?{query}"));
            Row::new(S::MOVED_PERMANENTLY, C::Unsupported, "the registry API is at /v2/")
                .header(LOCATION, HeaderValue::try_from(location).ok())
                .warning_unless(true)
        }
        R::NoSuchPath => Row::new(S::NOT_FOUND, C::Unsupported, "only /v2/ is served here"),
        R::Method => {
            Row::new(S::METHOD_NOT_ALLOWED, C::Unsupported, "the registry API does not have this method")
                .allowing(target::METHODS)
                .closing()
        }
        R::NoMethod(methods) => {
            Row::new(S::METHOD_NOT_ALLOWED, C::Unsupported, "this path does not support this method")
                .allowing(methods)
        }
        R::NoPath => Row::new(S::NOT_FOUND, C::Unsupported, "not a request of the registry API"),
        R::NoUpload => {
            Row::new(S::NOT_FOUND, C::UploadUnknown, "this upload is not known here; start it again")
        }
        R::Expectation => {
            Row::new(S::EXPECTATION_FAILED, C::Unsupported, "only Expect: 100-continue is supported")
        }
        R::HeadTooLarge => Row::new(
            S::REQUEST_HEADER_FIELDS_TOO_LARGE,
            C::Unsupported,
            "the request has too many or too large header fields; the limits are limits.header_bytes and limits.headers",
        ),
        R::TooManyRanges => Row::new(
            S::BAD_REQUEST,
            C::Unsupported,
            "the Range field is longer than allowed; ask for fewer ranges",
        )
        // podman goes on with fewer.
        .warning_unless(true),
        R::Unauthorized { reason, client_message, challenge, is_routine } => {
            Row::new(S::UNAUTHORIZED, C::Unauthorized, "")
                .reason(reason)
                .message(client_message)
                .header(WWW_AUTHENTICATE, challenge)
                .warning_unless(is_routine)
        }
        R::Insufficient { missing, is_stranger, is_routine, reason, client_message, challenge } => {
            Row::new(S::UNAUTHORIZED, if is_stranger { C::Unauthorized } else { C::Denied }, reason)
                .message(client_message)
                .detail(error::detail(&missing))
                .header(WWW_AUTHENTICATE, challenge)
                .warning_unless(is_routine)
        }
        R::BadTokenRequest(message) => Row::new(S::BAD_REQUEST, C::Unsupported, message),
        R::Denied { missing, client_message } => {
            Row::new(S::FORBIDDEN, C::Denied, DENIED).message(client_message).detail(error::detail(&missing))
        }
        R::NotOffered { message, methods } => {
            Row::new(S::METHOD_NOT_ALLOWED, C::Unsupported, message).allowing(methods)
        }
        R::Immutable(message) => Row::new(S::CONFLICT, C::Denied, "the tag is immutable").message(message),
        R::PageSize => Row::new(S::BAD_REQUEST, C::PaginationNumberInvalid, "n must be a whole number"),
        R::Registry(answer) => {
            let asks = answer.status() == S::UNAUTHORIZED;
            let reason =
                if asks { REGISTRY_ASKS } else { "the registry refused a question about the request" };
            Row { answer: Some(answer), ..Row::new(S::BAD_GATEWAY, C::Unknown, reason) }
        }
        R::Busy => Row::new(
            S::TOO_MANY_REQUESTS,
            C::TooManyRequests,
            "too many logins at once; try again in a few seconds",
        )
        .header(RETRY_AFTER, SOON),
        R::Unread => Row::new(
            S::SERVICE_UNAVAILABLE,
            C::Unavailable,
            "tidegate has no free descriptor to read its users or revocations; try again in a few seconds",
        )
        .header(RETRY_AFTER, SOON),
        R::NoSource => Row::new(
            S::SERVICE_UNAVAILABLE,
            C::Unavailable,
            "who you are cannot be checked now; try again in a few seconds, or tell the operator",
        )
        .header(RETRY_AFTER, SOURCE_BACK),
        R::Unsigned => Row::new(
            S::SERVICE_UNAVAILABLE,
            C::Unavailable,
            "no token can be signed now; try again in a few seconds",
        )
        .header(RETRY_AFTER, SOON),
        R::Unaudited => Row::new(
            S::SERVICE_UNAVAILABLE,
            C::Unavailable,
            "nothing can be changed while the audit log cannot be written; try again later, or tell the operator",
        )
        .header(RETRY_AFTER, SOON),
        R::Unshared => Row::new(
            S::SERVICE_UNAVAILABLE,
            C::Unavailable,
            "whether another replica pushes this immutable tag is not known now; try again in a few seconds",
        )
        .header(RETRY_AFTER, SOON),
        R::Throttled(left) => Row::new(
            S::TOO_MANY_REQUESTS,
            C::TooManyRequests,
            "too many failed logins of this user from your address",
        )
        .message(format!(
            "too many failed logins of this user from your address; try again in {} s",
            whole_seconds(left)
        ))
        .header(RETRY_AFTER, HeaderValue::from(whole_seconds(left))),
        R::WrongAgain(delay, reason) => Row::new(
            S::TOO_MANY_REQUESTS,
            C::TooManyRequests,
            "wrong user or password, after too many failed logins from your address; try again later",
        )
        .reason(format!("{reason}, after too many failed logins from your address"))
        .header(RETRY_AFTER, HeaderValue::from(whole_seconds(delay))),
        R::Crowded => Row::new(
            S::TOO_MANY_REQUESTS,
            C::TooManyRequests,
            "too many requests at once; try again in a few seconds",
        )
        .header(RETRY_AFTER, SOON),
        R::BodyTooLarge => Row::new(
            S::PAYLOAD_TOO_LARGE,
            C::SizeInvalid,
            "the manifest is larger than allowed; the limit is limits.manifest_bytes",
        ),
        R::Client(ClientFault::TooSlow) => {
            Row::new(S::REQUEST_TIMEOUT, C::Unknown, "the request body arrived too slowly").closing()
        }
        R::Client(_) => {
            Row::new(S::BAD_REQUEST, C::Unknown, "the request body is incomplete or malformed").closing()
        }
        R::BadGateway(_) => Row::new(
            S::BAD_GATEWAY,
            C::Unavailable,
            "the registry behind this host gave an answer that is not valid; tell the operator",
        ),
        R::NoAnswer(error @ (UpstreamError::AllDown(_) | UpstreamError::Full)) => {
            Row::new(S::SERVICE_UNAVAILABLE, C::Unavailable, error.for_client()).header(RETRY_AFTER, SOON)
        }
        R::NoAnswer(error) => Row::new(S::BAD_GATEWAY, C::Unavailable, error.for_client()),
        R::GatewayTimeout => Row::new(
            S::GATEWAY_TIMEOUT,
            C::Unavailable,
            "the registry behind this host did not answer in time; try again later",
        ),
    }
}

/// Rounded up, so that the client does not retry too early.
fn whole_seconds(left: Duration) -> u64 {
    (left + Duration::from_nanos(999_999_999)).as_secs().max(1)
}

fn print(row: Row) -> Response<Bytes> {
    if let Some(answer) = row.answer {
        return *answer;
    }
    let mut response = Response::new(error_body(row.code, &row.message, row.detail));
    *response.status_mut() = row.status;
    let headers = response.headers_mut();
    headers.insert(API_VERSION, API_VERSION_VALUE);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // The registry sends this too.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if row.warns && !row.status.is_redirection() {
        // The answer to a HEAD has no body.
        headers.extend(warning(&row.message).map(|warning| (WARNING, warning)));
    }
    headers.extend(row.header);
    response
}

#[cfg(test)]
mod tests;
