//! The catalog of a host with several registries, in the order of distribution.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use tokio::task::yield_now;

use super::catalog::{TURN, USUAL_NAMES, key, place, respond, without_names};
use super::context::RequestContext;
use super::inquiry::Inquiry;
use super::listing::{Listing, MOST_NAMES, Next};
use super::refusal::Refusal;
use super::reply::Source;
use crate::access::Permit;
use crate::header::authority::Host;
use crate::registry::name;
use crate::registry::page::{NotANumber, Page};
use crate::routes::{Order, Route};
use crate::state::State;
use crate::upstream::Destination;

/// The reason in the log when a registry of a route has no catalog.
const WITHOUT: &str = "the registry of a [[route]] has no catalog; its repositories are left out";

/// A catalog that is a part of the merged one.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    route: &'a Route,
    /// The position of a server that has repositories of its own.
    server: Option<usize>,
}

/// The catalogs that are merged for the host of this request; `None` if one registry answers for
/// all.
pub(super) fn parts<'a>(context: &RequestContext<'a>) -> Option<Vec<Part<'a>>> {
    let routes = &context.state.routes;
    if !routes.has_several() && !routes.usual().registry.is_parted() {
        return None;
    }
    let mut parts = Vec::new();
    for route in routes.of_host(context.authority.host()) {
        if route.registry.is_parted() {
            let servers = 0..route.registry.servers.len();
            parts.extend(servers.map(|server| Part { route, server: Some(server) }));
        } else {
            parts.push(Part { route, server: None });
        }
    }
    let is_one = matches!(&*parts, [only] if only.route.is(context.route));
    (!is_one).then_some(parts)
}

impl<'a> Part<'a> {
    fn destination(self) -> Destination<'a> {
        let registry = &self.route.registry;
        self.server.map_or(Destination::of_repository(registry, None), |server| {
            Destination::of_server(registry, server)
        })
    }

    /// Whether a request to `host` for `outer` comes here.
    fn has(self, state: &State, host: Host<'_>, outer: &str) -> bool {
        let inner = self.route.renaming.inner(outer);
        let to = Destination::of_repository(&self.route.registry, inner);
        self.route.is(state.routes.find(host, Some(outer)))
            && self.server.is_none_or(|server| to.may_go_to(server))
    }
}

/// Answers a request for the catalog with the names that the caller may see and that lead to the
/// server that has them.
pub(super) async fn answer<B>(
    context: &RequestContext<'_>,
    permit: &Permit,
    request: &Request<B>,
    parts: Vec<Part<'_>>,
) -> Result<Response<Source>, Refusal> {
    let page = Page::of(request.uri().query().unwrap_or_default()).map_err(|NotANumber| Refusal::PageSize)?;
    let n = page.n.unwrap_or(USUAL_NAMES).min(MOST_NAMES);
    if n == 0 {
        return respond(Vec::new(), None);
    }
    let sees_all = permit.has_catalog(&context.state.rules);
    let mut merge =
        Merge { context, permit, sees_all, last: page.last.as_deref(), most: n + 1, first: BTreeMap::new() };
    for part in parts {
        merge.read(part, request.headers()).await?;
    }
    let is_last = merge.first.len() <= n;
    let mut repositories: Vec<String> = merge.first.into_values().collect();
    repositories.truncate(n);
    let last = repositories.last().filter(|_| !is_last).cloned();
    let next = last.map(|last| Page { n: Some(n), last: Some(last) }.link("/v2/_catalog"));
    respond(repositories, next)
}

/// The first names after one, of all registries read so far.
struct Merge<'a> {
    context: &'a RequestContext<'a>,
    permit: &'a Permit,
    sees_all: bool,
    last: Option<&'a str>,
    /// How many are kept.
    most: usize,
    /// By their place in the order of distribution.
    first: BTreeMap<String, String>,
}

impl<'a> Merge<'a> {
    /// Adds the names of one part. Its catalog is read no further than needed if its order is
    /// that of distribution, and else to the end.
    async fn read(&mut self, part: Part<'a>, headers: &HeaderMap) -> Result<(), Refusal> {
        let route = part.route;
        let context = self.context.at(route, part.destination());
        let inquiry = Inquiry::new(&context, self.permit, headers);
        let prefix = route.renaming.prefix();
        let is_beyond = |last: &str| !last.starts_with(prefix) && key(last) > key(prefix);
        if self.last.is_some_and(is_beyond) {
            return Ok(());
        }
        // Where names stand in another order is known only after a page from the beginning.
        let is_usual = route.order() == Order::Usual;
        let start = self.last.filter(|_| is_usual).and_then(|last| route.renaming.inner(last));
        let mut listing = Listing::of_repositories(&inquiry, start.map(str::to_owned));
        let mut wanted = if is_usual { self.most } else { MOST_NAMES };
        let mut before = String::new();
        loop {
            let place = place(self.context, self.permit).await?;
            let next = listing.next(wanted).await?;
            drop(place);
            let names = match next {
                Next::Names(names) => names,
                Next::End => return Ok(()),
                Next::Refused(answer) => return self.without(route, answer),
            };
            for (number, inner) in (1..).zip(names) {
                let here = key(&inner);
                if here < before && route.order() != Order::Other {
                    route.found(Order::Other);
                    if start.is_some() {
                        // What stands before `start` there may be after it here.
                        return Box::pin(self.read(part, headers)).await;
                    }
                }
                before = here;
                self.add(part, &inner);
                if number % TURN == 0 {
                    yield_now().await;
                }
            }
            if route.order() != Order::Other {
                route.found(Order::Usual);
                let outer = key(&route.renaming.outer(&before.replace('\0', "/")));
                let is_full = self.first.len() == self.most;
                if is_full && self.first.last_key_value().is_some_and(|(last, _)| outer >= *last) {
                    return Ok(());
                }
            }
            wanted = MOST_NAMES;
        }
    }

    fn add(&mut self, part: Part<'_>, inner: &str) {
        let outer = part.route.renaming.outer(inner);
        let here = key(&outer);
        let state = self.context.state;
        let host = self.context.authority.host();
        let is_shown = self.last.is_none_or(|last| here > key(last))
            && name::is_repository(&outer)
            && part.has(state, host, &outer)
            && (self.sees_all || self.permit.sees(&state.rules, &outer));
        if is_shown {
            self.first.insert(here, outer);
            if self.first.len() > self.most {
                self.first.pop_last();
            }
        }
    }

    /// The registry has refused. A registry of a route may have no catalog at all; one that fails
    /// now may have one later.
    fn without(&self, route: &Route, answer: Response<Bytes>) -> Result<(), Refusal> {
        let is_passing =
            matches!(answer.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if !route.is_special() || answer.status().is_server_error() || is_passing {
            return Err(without_names(answer));
        }
        self.context.log.reason(WITHOUT);
        Ok(())
    }
}
