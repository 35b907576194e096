//! The life of a request, from top to bottom.

mod authorization;
mod catalog;
mod challenge;
mod forward;
mod hygiene;
mod identity;
mod immutable;
mod inquiry;
mod ledger;
mod listing;
mod mount;
mod policy;
mod reject;
mod reply;
mod token;
mod visit;

use std::mem;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use http::header::USER_AGENT;
use http::{HeaderValue, Request, Response};
use http_body_util::Full;
use hyper::body::{Body, Incoming};

use crate::body::{Flow, Unread};
use crate::config::Config;
use crate::header::forwarded;
use crate::registry::target::{self, Operation};
use crate::state::{Shared, State};
use crate::tls::Shown;
use crate::upstream::Upstream;

use ledger::Ledger;
use reject::Refusal;
pub(crate) use reply::Reply;
use visit::Visit;

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
    pub shown: Option<Shown>,
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
    let mut ledger = Ledger::open(gate.shared.clone(), peer.address, &request, flow.clone());
    let mut request = request.map(Unread::from);
    let unread = hygiene::has_body(&request);
    let response = match pass(&gate, &state, peer, &mut request, &flow, &mut ledger).await {
        Ok(response) => response,
        Err(refusal) => {
            hygiene::swallow(&mut request).await;
            reject::hold_up(&refusal).await;
            reject::respond(refusal, &state, unread, &mut ledger)
        }
    };
    reply::hand_over(response, flow, ledger, guard)
}

/// For plain HTTP, where nothing is forwarded: what `answer` makes of the host that a request asks for, without its port; or
/// the refusal of one that [`handle`] would refuse for what its head says.
pub(crate) fn vet<B: Body>(
    request: &Request<B>,
    config: &Config,
    answer: impl FnOnce(&str) -> Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    match hygiene::host(request, config) {
        Ok(host) => answer(&host),
        Err(refusal) => reject::answer(&refusal),
    }
}

async fn pass(
    gate: &Gate,
    state: &State,
    peer: &Peer,
    request: &mut Request<Unread>,
    flow: &Rc<Flow>,
    ledger: &mut Ledger,
) -> Result<Response<reply::Source>, Refusal> {
    let config = &state.config;
    let authority = hygiene::check(request, config)?;
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
    ledger.learn(&client, &target);

    let visit = Visit { gate, state, client: &client, authority: &authority, target: &target, flow };
    let holder = identity::certificate(state, peer, &authority, ledger)?;
    if let Some(tokens) = tokens {
        ledger.asks_for_token();
        return token::answer(&visit, tokens, holder, mem::take(request), ledger).await;
    }
    let caller = identity::identify(&visit, holder, request.headers(), ledger).await?;
    ledger.user(&caller.identity);
    let permit = visit.decide(caller)?;
    policy::check(&config.policy, target.operation)?;
    hygiene::settle_body(request, config.limits.idle_timeout).await?;
    if target.operation == Operation::Catalog && !permit.has_catalog(&state.rules) {
        return catalog::filtered(&visit, &permit, request, ledger).await;
    }
    let _claims = immutable::spare(&visit, &permit, &target, request, ledger).await?;

    let query = mount::settle(&visit, &permit, sent.query(), ledger)?;
    *request.uri_mut() = forward::target(&sent, &path, query.as_deref())?;
    let onward = forward::rewrite(mem::take(request), &visit, &permit)?;
    ledger.upstream(&state.destination.server);
    let answer = gate.upstream.send(&permit, &state.destination, onward, flow).await?;
    reply::rewrite(answer, client.https, &authority, &state.destination.server)
}

fn user_agent<B>(request: &Request<B>) -> Option<&[u8]> {
    request.headers().get(USER_AGENT).map(HeaderValue::as_bytes)
}
