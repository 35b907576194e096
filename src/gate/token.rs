//! The token endpoint, `/auth/token`: tokens for those who prove who they are, and for nobody.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use super::identity::{self, TokenRequester};
use super::reject::Refusal;
use super::reply::Source;
use super::request_log::RequestLog;
use super::{RequestContext, head_checks};
use crate::access::{Identity, Rules};
use crate::body::{ClientBody, ClientFault, Limits, UnreadBody};
use crate::header::credentials;
use crate::registry::grant::{self, Asked};
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::secret::Secret;
use crate::token::{NotIssued, Tokens};

/// Also where distribution's `autoredirect` sends clients.
pub(super) const PATH: &str = "/auth/token";
/// The methods that it has.
pub(super) const METHODS: &str = "GET, POST";
/// The name in the access log.
pub(super) const OPERATION: &str = "token";
/// Bytes of a form: an identity token, and room for all the rest.
const LONGEST_FORM: u64 = 64 * 1024;

/// Answers a request for a token. `certificate_user` is the user of the client's certificate, if one counts.
pub(super) async fn answer(
    context: &RequestContext<'_>,
    tokens: &Tokens,
    certificate_user: Option<Arc<str>>,
    request: Request<UnreadBody>,
    log: &mut RequestLog,
) -> Result<Response<Source>, Refusal> {
    let credentials = credentials::read(request.headers())?;
    let asked = read(context, request).await?;
    let service = context.service(tokens);
    if asked.service.is_some_and(|wanted| wanted != service) {
        return Err(Refusal::BadTokenRequest("tokens for another service are not given here"));
    }
    let token_requester =
        identity::token_requester(context, tokens, asked.proof, credentials, certificate_user, log).await?;
    log.user(&token_requester.identity);
    let granted = granted(&context.state.rules, &token_requester.identity, asked.scopes);
    if tokens.are_slow() {
        // Anybody may ask, a hundred times at once.
        context.flow.next_turn().await;
    }
    let given = give(tokens, &token_requester, &service, &granted, asked.offline)?;
    Ok(no_store(given).map(Source::from))
}

async fn read(context: &RequestContext<'_>, mut request: Request<UnreadBody>) -> Result<Asked, Refusal> {
    match *request.method() {
        Method::GET => {
            head_checks::settle_body(&mut request, context.state.config.limits.idle_timeout).await?;
            Ok(grant::query(request.uri().query().unwrap_or_default())?)
        }
        Method::POST => Ok(grant::form(&form(context, request).await?)?),
        _ => Err(Refusal::NoMethod(METHODS)),
    }
}

async fn form(context: &RequestContext<'_>, request: Request<UnreadBody>) -> Result<Bytes, Refusal> {
    const FORM: &[u8] = b"application/x-www-form-urlencoded";
    let kind = request.headers().get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    if !kind.trim_ascii().eq_ignore_ascii_case(FORM) {
        return Err(Refusal::BadTokenRequest("a POST has to be a form: application/x-www-form-urlencoded"));
    }
    let limits = &context.state.config.limits;
    let limits = Limits { idle: limits.idle_timeout, min_rate: limits.min_rate, bytes: LONGEST_FORM };
    let version = request.version();
    let body = ClientBody::new(request.into_body(), version, context.flow.clone(), limits);
    // Strangers may send a form. At the least rate of a transfer, which is meant for layers, each would be held for minutes.
    match timeout(context.state.config.limits.handshake_timeout, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Err(_elapsed) => Err(Refusal::Client(ClientFault::TooSlow)),
        Ok(Err(_)) => Err(match context.flow.fault() {
            Some(ClientFault::TooLarge) => Refusal::BadTokenRequest("the form is longer than 64 KiB"),
            fault => Refusal::Client(fault.unwrap_or(ClientFault::Gone)),
        }),
    }
}

/// What is asked for and allowed; to ask for more is no error, and what comes of it is left out.
fn granted(rules: &Rules, identity: &Identity, asked: Vec<Scope>) -> Vec<Scope> {
    let granted = asked.into_iter().map(|scope| {
        let rights = match &scope.resource {
            Resource::Repository(name) => rules.rights(identity, name) & scope.rights,
            Resource::Catalog if rules.has_catalog(identity) => scope.rights,
            Resource::Catalog => Rights::NONE,
        };
        Scope { rights, ..scope }
    });
    granted.filter(|scope| !scope.rights.is_empty()).collect()
}

/// `token` is what docker reads, `access_token` what OAuth 2 has.
#[derive(Serialize)]
struct Given<'a> {
    token: &'a str,
    access_token: &'a str,
    expires_in: u64,
    issued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

fn give(
    tokens: &Tokens,
    token_requester: &TokenRequester,
    service: &str,
    granted: &[Scope],
    offline: bool,
) -> Result<Bytes, Refusal> {
    let subject = subject(&token_requester.identity)?;
    let now = SystemTime::now();
    let issued = tokens.issue(subject, service, granted, now).map_err(not_issued)?;
    let lasting = token_requester.login.as_ref().filter(|_| offline);
    let refresh = lasting.map(|login| tokens.issue_login(login, service, now)).transpose();
    let refresh = refresh.map_err(not_issued)?.flatten();
    let token = text(&issued.token);
    let given = Given {
        token,
        access_token: token,
        expires_in: issued.expires_in,
        issued_at: OffsetDateTime::from(now).format(&Rfc3339).unwrap_or_default(),
        refresh_token: refresh.as_ref().map(text),
    };
    Ok(serde_json::to_vec(&given).unwrap_or_default().into())
}

/// What a token calls somebody. Two users must not become one.
pub(super) fn subject(identity: &Identity) -> Result<&str, Refusal> {
    match identity {
        Identity::Anonymous => Ok(""),
        Identity::User(name) => {
            let sentence = "no token can be made for a user whose name is not UTF-8";
            std::str::from_utf8(name).map_err(|_| Refusal::BadTokenRequest(sentence))
        }
    }
}

pub(super) fn not_issued(reason: NotIssued) -> Refusal {
    match reason {
        NotIssued::TooLong => Refusal::BadTokenRequest("more is asked for than one token can hold"),
        NotIssued::Unsigned => Refusal::Busy,
    }
}

/// A token is ASCII.
fn text(token: &Secret) -> &str {
    std::str::from_utf8(token.expose()).unwrap_or_default()
}

fn no_store(body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
