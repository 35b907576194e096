//! The life of a request, from top to bottom.

mod authorization;
mod catalog;
mod challenge;
mod context;
mod forward;
mod head_checks;
mod identity;
mod immutable;
mod inquiry;
mod listing;
mod mount;
mod policy;
mod reject;
mod reply;
mod request_log;
mod token;

use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};

use crate::body::{Flow, UnreadBody};
use crate::config::Config;
use crate::header::forwarded;
use crate::registry::target::{self, Operation};
use crate::state::{Shared, State};
use crate::tls::PresentedCertificate;
use crate::upstream::Upstream;

use context::RequestContext;
use reject::Refusal;
pub(crate) use reply::Reply;
use request_log::RequestLog;

/// What a request needs of the core that runs it.
pub(crate) struct Gate {
    /// What all cores share.
    pub shared: Arc<Shared>,
    /// This core's connections to the registry.
    pub upstream: Rc<Upstream>,
}

/// Who is at the other end of a connection, as far as its handshake told.
pub(crate) struct Peer {
    /// Where it is, or the last proxy before us.
    pub address: IpAddr,
    /// A certificate was asked for.
    pub asked: bool,
    /// What was shown then.
    pub shown: Option<PresentedCertificate>,
}

/// Answers one request. Never fails: what goes wrong is an answer too, or the end of its body.
/// `guard` is held until the response has been sent or given up.
pub(crate) async fn handle<G>(
    gate: Rc<Gate>,
    peer: &Peer,
    request: Request<Incoming>,
    flow: Rc<Flow>,
    guard: G,
) -> Response<Reply<G>> {
    let state = gate.shared.state().clone();
    let mut log = RequestLog::open(gate.shared.clone(), peer.address, &request, flow.clone());
    let mut request = request.map(UnreadBody::from);
    let unread = head_checks::has_body(&request);
    let response = match pass(&gate, &state, peer, &mut request, &flow, &mut log).await {
        Ok(response) => response,
        Err(refusal) => {
            head_checks::drain_small_body(&mut request).await;
            reject::delay(&refusal).await;
            reject::respond(refusal, &state, unread, &mut log)
        }
    };
    reply::hand_over(response, flow, log, guard)
}

/// For plain HTTP, where nothing is forwarded: what `answer` makes of the host that a request asks for, without its port; or
/// the refusal of one that [`handle`] would refuse for what its head says.
pub(crate) fn check_plain<B: Body>(
    request: &Request<B>,
    config: &Config,
    answer: impl FnOnce(&str) -> Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    match head_checks::host(request, config) {
        Ok(host) => answer(&host),
        Err(refusal) => reject::answer(&refusal),
    }
}

async fn pass(
    gate: &Gate,
    state: &State,
    peer: &Peer,
    request: &mut Request<UnreadBody>,
    flow: &Rc<Flow>,
    log: &mut RequestLog,
) -> Result<Response<reply::Source>, Refusal> {
    let config = &state.config;
    let authority = head_checks::check(request, config)?;
    if !state.agents.admits(user_agent(request)) {
        return Err(Refusal::Agent(config.user_agents.status));
    }
    let sent = request.uri().clone();
    let path = target::decode(sent.path());
    let tokens = state.tokens.as_ref().filter(|_| path == token::PATH);
    if tokens.is_none() && !path.starts_with("/v2/") {
        return Err(Refusal::NoSuchPath);
    }
    let client = forwarded::client(request.headers(), peer.address, &config.server.trusted_proxies);
    let target = target::parse(request.method(), &path);
    log.learn(&client, &target);

    let context =
        RequestContext { gate, state, client: &client, authority: &authority, target: &target, flow };
    let certificate_user = identity::certificate(state, peer, &authority, log)?;
    if let Some(tokens) = tokens {
        log.asks_for_token();
        return token::answer(&context, tokens, certificate_user, mem::take(request), log).await;
    }
    let caller = identity::identify(&context, certificate_user, request.headers(), log).await?;
    log.user(&caller.identity);
    let permit = context.decide(caller)?;
    policy::check(&config.policy, target.operation)?;
    head_checks::settle_body(request, config.limits.idle_timeout).await?;
    if target.operation == Operation::Catalog && !permit.has_catalog(&state.rules) {
        return catalog::filtered(&context, &permit, request, log).await;
    }
    let _claims = immutable::guard(&context, &permit, &target, request, log).await?;

    let query = mount::settle(&context, &permit, sent.query(), log)?;
    *request.uri_mut() = forward::target(&sent, &path, query.as_deref())?;
    let onward = forward::rewrite(mem::take(request), &context, &permit)?;
    log.upstream(&state.destination.server);
    let answer = gate.upstream.send(&permit, &state.destination, onward, flow).await?;
    reply::rewrite(answer, client.https, &authority, &state.destination.server)
}

fn user_agent<B>(request: &Request<B>) -> Option<&[u8]> {
    request.headers().get(USER_AGENT).map(HeaderValue::as_bytes)
}
