//! The life of a request, from top to bottom.

mod audit;
mod authorization;
mod catalog;
mod challenge;
mod context;
mod cors;
mod decide;
mod early_body;
mod forward;
mod head_checks;
mod host;
mod identity;
mod immutable;
mod immutable_tags;
mod inquiry;
mod late_line;
mod listing;
mod merged_catalog;
mod mount;
mod needed;
mod outward;
mod own_token;
mod password;
mod peer;
mod policy;
mod proof;
mod recent;
mod refusal;
mod reject;
mod reply;
mod request_log;
mod token;
mod token_requester;
mod token_service;
mod traffic;
mod trail;
mod transfers;
mod unattended;
mod upload_place;
mod words;

use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use tokio::time::sleep;

use crate::agent;
use crate::body::{Flow, UnreadBody};
use crate::header::forwarded;
use crate::registry::grant;
use crate::registry::target::{self, Operation, PREFLIGHT, TOKEN};
use crate::state::State;
use crate::upstream::Destination;

pub(crate) use context::Gate;
use context::RequestContext;
use cors::Sharing;
use immutable::Verdict;
use mount::Mount;
pub(crate) use peer::Peer;
pub(crate) use recent::RecentRefusal;
use refusal::Refusal;
pub(crate) use reply::Reply;
use request_log::RequestLog;
pub(crate) use transfers::RunningTransfer;
use unattended::Kept;

/// Answers one request. Never fails: a fault becomes an answer too, or ends the body of one.
/// `guard` is held until the response has been sent or abandoned.
pub(crate) async fn handle<G>(
    gate: &Gate,
    peer: &Peer,
    request: Request<Incoming>,
    flow: Rc<Flow>,
    guard: G,
) -> Response<Reply<G>> {
    let state = gate.shared.state().clone();
    let log = RequestLog::open(gate.shared.clone(), peer, &request, flow.clone());
    let mut request = request.map(UnreadBody::from);
    let unread = head_checks::has_body(&request);
    let sharing = Sharing::of(&state.config.cors, &request);
    let passed = pass(gate, &state, peer, &mut request, &flow, &log, sharing.as_ref()).await;
    let (mut response, delay) = match passed {
        Ok(response) => (response, None),
        Err(refusal) => {
            let delay = reject::delay(&refusal);
            let response = reject::respond(refusal, unread, &log, &gate.recent);
            (response, Some(delay))
        }
    };
    log.digest(&response);
    log.audit(&response).await;
    if let Some(delay) = delay {
        // If `pass` took the request before it failed, an empty one is left here, which has
        // nothing to drain.
        early_body::drain_small(&mut request).await;
        if !delay.is_zero() {
            sleep(delay).await;
        }
    }
    if response.status().is_client_error() || response.status().is_server_error() {
        // The user can name the line of the log that says why.
        log.tell_id(response.headers_mut());
    }
    if let Some(sharing) = sharing {
        sharing.mark(response.headers_mut());
    }
    reply::hand_over(response, flow, log, guard)
}

/// Runs the head checks for plain HTTP from `peer`. On success calls `answer` with the requested
/// host (no port), and whether trusted proxies stand before it; otherwise returns the refusal.
pub(crate) fn check_plain<B: Body>(
    request: &Request<B>,
    state: &State,
    peer: IpAddr,
    answer: impl FnOnce(&str, bool) -> Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let host = || {
        let named = head_checks::check(request, &state.config.limits, false)?;
        let client = forwarded::client(request.headers(), peer, &state.config.server.trusted_proxies);
        let asked = host::asked(named, request.headers(), &client, state)?;
        Ok((asked.host().to_string(), client.proxies > 0))
    };
    host().map_or_else(
        |refusal| reject::answer(refusal).map(Full::new),
        |(host, is_behind_proxies)| answer(&host, is_behind_proxies),
    )
}

/// The refusal of a request that came without TLS to a port for HTTPS.
pub(crate) fn refuse_plaintext() -> Response<Bytes> {
    reject::answer(Refusal::Plaintext)
}

async fn pass(
    gate: &Gate,
    state: &Arc<State>,
    peer: &Peer,
    request: &mut Request<UnreadBody>,
    flow: &Rc<Flow>,
    log: &RequestLog,
    sharing: Option<&Sharing>,
) -> Result<Response<reply::Source>, Refusal> {
    let config = &state.config;
    let preflight = sharing.filter(|sharing| sharing.is_preflight());
    let named = head_checks::check(request, &config.limits, preflight.is_some())?;
    // Before `forward`, which removes the fields that name the client.
    let trusted = if peer.may_forward { config.server.trusted_proxies.as_slice() } else { &[] };
    let client = forwarded::client(request.headers(), peer.client, trusted);
    log.client(&client, request.headers());
    flow.client(client.address);
    let authority = host::asked(named, request.headers(), &client, state)?;
    log.host(&authority);
    if !agent::admits(&config.user_agents, user_agent(request)) {
        return Err(Refusal::Agent(config.user_agents.status));
    }
    if let Some(preflight) = preflight {
        log.operation(PREFLIGHT);
        return preflight.answer();
    }
    let sent = request.uri().clone();
    let path = target::decode(sent.path());
    let tokens = state.tokens.as_ref().filter(|_| path == grant::PATH);
    if path == target::BASE_WITHOUT_SLASH {
        return Err(Refusal::Moved(sent.query().map(str::to_owned)));
    }
    let token_route = token_service::at(state, authority.host(), &path, sent.query());
    if tokens.is_none() && token_route.is_none() && !path.starts_with("/v2/") {
        return Err(Refusal::NoSuchPath);
    }
    // A target that the API does not have is refused by `decide`: strangers learn nothing.
    let target = if token_route.is_some() {
        target::token_of_registry(request.method())
    } else {
        target::parse(request.method(), &path)
    };
    log.target(&target);
    let route = token_route.unwrap_or_else(|| state.routes.find(authority.host(), target.repository));
    let mount_source =
        state.tokens.as_ref().and_then(|_| mount::source(target.operation, request.uri().query()));
    // A mount across registries cannot be kept, so no scope is asked for it.
    let mount_source =
        mount_source.filter(|source| mount::is_at_same_registry(state, &authority, route, source));
    let inner = target.repository.and_then(|outer| route.renaming.inner(outer));
    let context = RequestContext {
        gate,
        state,
        peer,
        client: &client,
        authority: &authority,
        target: &target,
        route,
        destination: Destination::of_repository(&route.registry, inner),
        mount_source,
        flow,
        log,
    };

    let certificate_user = context.certificate_user()?;
    if let Some(tokens) = tokens {
        log.operation(TOKEN);
        return Box::pin(token::answer(&context, tokens, certificate_user, mem::take(request))).await;
    }
    let caller = context.identify(certificate_user, request.headers()).await?;
    log.user(&caller.identity);
    let permit = context.decide(caller)?;
    context.begin_transfer(&permit, request);
    // After the decision, so that a client without the right does not learn the policy.
    policy::check(&config.policy, target.operation)?;
    context.audit(&permit, request).await?;
    // Before the registry is asked: it has to be known whether there is a body.
    early_body::settle(request, config.limits.idle_timeout).await?;
    let is_catalog = target.operation == Operation::Catalog;
    // What is rare is boxed here and below: its memory would be a part of every request.
    if is_catalog && let Some(parts) = merged_catalog::parts(&context) {
        return Box::pin(merged_catalog::answer(&context, &permit, request, parts)).await;
    }
    if is_catalog && !permit.has_catalog(&state.rules) {
        return Box::pin(catalog::filtered(&context, &permit, request)).await;
    }
    let _place = if is_catalog { Some(catalog::place(&context, &permit).await?) } else { None };
    let tag_locks = match immutable::guard(&context, &permit, request).await? {
        Verdict::Forward(locks) => locks,
        Verdict::Done(response) => return Ok(*response),
    };

    // Only now does the query change: `immutable` reads it as the client sent it.
    let (mount, query) = match target.operation {
        Operation::TokenOfRegistry => (Mount::Absent, token_service::query(&context, sent.query())),
        _ => mount::settle(&context, &permit, sent.query())?,
    };
    *request.uri_mut() = match upload_place::open(&context, query.as_deref())? {
        Some(place) => place,
        None => forward::target(&sent, &context.inner_path(&path), query.as_deref())?,
    };
    let asked = request.uri().clone();
    let onward = forward::rewrite(&context, &permit, mem::take(request), &mount)?;
    log.forwarded();
    let kept = Kept { locks: tag_locks, late: log.late_line() };
    let answer = if kept.locks.is_empty() && kept.late.is_none() {
        gate.upstream.send(&permit, context.destination, onward, flow).await?
    } else {
        let sent = gate.unattended.send(&gate.upstream, context.destination, permit, onward, flow, kept);
        let (answer, late) = sent.await?;
        log.take_back(late);
        answer?
    };
    let response = reply::rewrite(&context, &asked, answer);
    if route.renaming.is_needed() { Box::pin(context.renamed(response)).await } else { Ok(response) }
}

fn user_agent<B>(request: &Request<B>) -> Option<&[u8]> {
    request.headers().get(USER_AGENT).map(HeaderValue::as_bytes)
}
