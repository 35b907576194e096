//! The token endpoint, `/auth/token`: issues tokens to authenticated users and to anonymous
//! clients.

use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response};
use http_body_util::BodyExt as _;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::time::timeout;

use super::context::RequestContext;
use super::early_body;
use super::password::LoggedIn;
use super::refusal::Refusal;
use super::reply::Source;
use crate::access::{Identity, Rules};
use crate::body::{ClientBody, ClientFault, Limits, UnreadBody};
use crate::header::credentials;
use crate::registry::grant::{self, TokenRequest};
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::secret::Secret;
use crate::token::Tokens;
use crate::user::User;

/// Most bytes of a form: an identity token, and room for the rest.
const LONGEST_FORM: u64 = 64 * 1024;
/// Bytes of a request head beside its token: paths of uploads and lists of media types are long.
const REST_OF_HEAD: usize = 4 * 1024;

/// Answers a request for a token. `certificate_user` is the user of the client's certificate.
pub(super) async fn answer(
    context: &RequestContext<'_>,
    tokens: &Tokens,
    certificate_user: Option<User>,
    request: Request<UnreadBody>,
) -> Result<Response<Source>, Refusal> {
    let credentials = credentials::read(request.headers())?;
    let asked = read(context, request).await?;
    let service = context.service(tokens);
    if asked.service.is_some_and(|wanted| wanted != service) {
        return Err(Refusal::BadTokenRequest("tokens for another service are not given here"));
    }
    // `docker login` asks for no scope.
    let is_login = asked.asked.scopes.is_empty();
    let requester = context.token_requester(asked.proof, is_login, credentials, certificate_user).await?;
    context.log.user(&requester.identity);
    let most = longest_token(context.state.config.limits.header_bytes);
    let asked_last = tokens.fitting(&requester.identity, &service, asked.asked, most)?;
    let scopes = granted(&context.state.rules, &requester.identity, asked_last);
    if tokens.are_slow() {
        // Anonymous clients too may ask for a hundred tokens at once.
        context.flow.next_turn().await;
    }
    let body = issue(tokens, &requester, &service, &scopes, asked.offline)?;
    context.flow.counts().tokens_issued[requester.grant].add(1);
    context.log.token(requester.grant, &scopes);
    Ok(no_store(body).map(Source::from))
}

async fn read(
    context: &RequestContext<'_>,
    mut request: Request<UnreadBody>,
) -> Result<TokenRequest, Refusal> {
    match *request.method() {
        Method::GET => {
            early_body::settle(&mut request, context.state.config.limits.idle_timeout).await?;
            Ok(grant::query(request.uri().query().unwrap_or_default())?)
        }
        Method::POST => Ok(grant::form(&form(context, request).await?)?),
        _ => Err(Refusal::NoMethod(grant::METHODS)),
    }
}

async fn form(context: &RequestContext<'_>, request: Request<UnreadBody>) -> Result<Bytes, Refusal> {
    if !is_form(&request) {
        return Err(Refusal::BadTokenRequest("a POST must be a form: application/x-www-form-urlencoded"));
    }
    let settings = &context.state.config.limits;
    let limits = Limits { idle: settings.idle_timeout, min_rate: settings.min_rate, bytes: LONGEST_FORM };
    let version = request.version();
    let body = ClientBody::new(request.into_body(), version, context.flow.clone(), limits);
    // Anonymous clients may send forms. The least rate of a transfer is made for layers, and would
    // let each of them hold a request for minutes.
    match timeout(settings.handshake_timeout, body.collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Err(_elapsed) => Err(Refusal::Client(ClientFault::TooSlow)),
        Ok(Err(_)) => Err(match context.flow.fault() {
            Some(ClientFault::TooLarge) => Refusal::BadTokenRequest("the form is longer than 64 KiB"),
            fault => Refusal::Client(fault.unwrap_or(ClientFault::Gone)),
        }),
    }
}

fn is_form<B>(request: &Request<B>) -> bool {
    let Some(kind) = request.headers().get(CONTENT_TYPE) else { return false };
    let kind = kind.as_bytes().split(|byte| *byte == b';').next();
    kind.is_some_and(|kind| kind.trim_ascii().eq_ignore_ascii_case(b"application/x-www-form-urlencoded"))
}

/// Bytes of a token that fits into a request head, with room for the path and the other fields.
fn longest_token(header_bytes: usize) -> usize {
    header_bytes - REST_OF_HEAD.min(header_bytes / 4)
}

/// The scopes that were asked for and are allowed. Asking for more is not an error; what is not
/// allowed is left out.
fn granted(rules: &Rules, identity: &Identity, asked: Vec<Scope>) -> Vec<Scope> {
    let limited = asked.into_iter().map(|scope| {
        let rights = match &scope.resource {
            Resource::Repository(name) => rules.rights(identity, name) & scope.rights,
            Resource::Catalog if rules.has_catalog(identity) => scope.rights,
            Resource::Catalog => Rights::NONE,
        };
        Scope { rights, ..scope }
    });
    limited.filter(|scope| !scope.rights.is_empty()).collect()
}

/// Docker reads `token`, OAuth 2 has `access_token`.
#[derive(Serialize)]
struct TokenResponse<'a> {
    token: &'a str,
    access_token: &'a str,
    expires_in: u64,
    issued_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
}

/// The body of the response: a token for `scopes`, and an identity token if `offline`.
fn issue(
    tokens: &Tokens,
    requester: &LoggedIn,
    service: &str,
    scopes: &[Scope],
    offline: bool,
) -> Result<Bytes, Refusal> {
    let now = SystemTime::now();
    let issued = tokens.issue(&requester.identity, service, scopes, now)?;
    let refresh = match &requester.keep {
        Some((person, life)) if offline => tokens.issue_login(person, *life, service, now)?,
        _ => None,
    };
    let token = text(&issued.token);
    let response = TokenResponse {
        token,
        access_token: token,
        expires_in: issued.expires_in,
        issued_at: OffsetDateTime::from(now).format(&Rfc3339).unwrap_or_default(),
        refresh_token: refresh.as_ref().map(text),
    };
    Ok(serde_json::to_vec(&response).unwrap_or_default().into())
}

/// A token is ASCII.
fn text(token: &Secret) -> &str {
    str::from_utf8(token.expose()).unwrap_or_default()
}

fn no_store(body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
