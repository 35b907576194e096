//! What a request is decided on: its worker, its connection, and what its head says.

use std::borrow::Cow;
use std::rc::Rc;
use std::sync::Arc;

use super::peer::Peer;
use super::recent::RecentRefusals;
use super::request_log::RequestLog;
use super::transfers::Transfers;
use super::unattended::Unattended;
use crate::body::Flow;
use crate::header::authority::Authority;
use crate::header::forwarded::Client;
use crate::places::Places;
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};
use crate::registry::target::{Operation, Target};
use crate::routes::Route;
use crate::state::{Shared, State};
use crate::token::Tokens;
use crate::upstream::{Destination, Upstream};

/// What requests need of the worker that runs them.
pub(crate) struct Gate {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// This worker's connections to the registry.
    pub upstream: Rc<Upstream>,
    /// Its requests that may outlive their clients.
    pub unattended: Unattended,
    /// Its places for request bodies that are held in memory.
    pub held_bodies: Rc<Places>,
    /// Its running transfers of layers.
    pub transfers: Rc<Transfers>,
    /// Its latest refusals.
    pub recent: RecentRefusals,
}

/// Long bodies that all workers together hold in memory.
const HELD_BODIES: usize = 32;
/// The same for one worker, at least.
const OF_WORKER: usize = 4;

impl Gate {
    /// What one of `workers` workers needs.
    pub(crate) fn new(shared: Arc<Shared>, upstream: Rc<Upstream>, workers: usize) -> Self {
        let held_bodies = Places::new((HELD_BODIES / workers.max(1)).max(OF_WORKER));
        let (unattended, transfers) = (Unattended::default(), Rc::default());
        let recent = RecentRefusals::default();
        Self { shared, upstream, unattended, held_bodies, transfers, recent }
    }
}

/// What is known of a request once its head has passed the checks.
pub(super) struct RequestContext<'a> {
    pub(super) gate: &'a Gate,
    pub(super) state: &'a Arc<State>,
    pub(super) peer: &'a Peer,
    pub(super) client: &'a Client,
    /// The host and port that the client asked for.
    pub(super) authority: &'a Authority,
    pub(super) target: &'a Target<'a>,
    /// The registry that the request is for.
    pub(super) route: &'a Route,
    /// The part of it that the request is for.
    pub(super) destination: Destination<'a>,
    /// With tokens: the other repository of a mount, whose scope the request needs too.
    pub(super) mount_source: Option<String>,
    pub(super) flow: &'a Rc<Flow>,
    pub(super) log: &'a RequestLog,
}

impl<'a> RequestContext<'a> {
    /// The same request, for another registry.
    pub(super) fn at(&self, route: &'a Route, destination: Destination<'a>) -> RequestContext<'a> {
        RequestContext { route, destination, mount_source: None, ..*self }
    }

    /// The repository's name at the registry.
    pub(super) fn inner_repository(&self) -> Option<&'a str> {
        self.route.renaming.inner(self.target.repository?)
    }

    /// How the client addresses tidegate: the scheme and the host of its URLs.
    pub(super) fn origin(&self) -> String {
        let scheme = if self.client.https { "https" } else { "http" };
        format!("{scheme}://{}", self.authority.as_str())
    }
}

impl RequestContext<'_> {
    /// The service that tokens have to be for.
    pub(super) fn service<'a>(&'a self, tokens: &'a Tokens) -> Cow<'a, str> {
        tokens.service(self.authority)
    }

    /// The scopes that a token needs to allow this request.
    pub(super) fn needs(&self) -> Vec<Scope> {
        match (self.target.operation, self.target.repository) {
            (Operation::Catalog, _) => vec![Scope { resource: Resource::Catalog, rights: Rights::CATALOG }],
            (operation, Some(repository)) if !operation.rights().is_empty() => {
                let source = self.mount_source.as_deref().filter(|source| *source != repository);
                let source = source.map(|source| Scope::repository(source, Rights::PULL));
                [Scope::repository(repository, operation.rights())].into_iter().chain(source).collect()
            }
            _ => Vec::new(),
        }
    }
}
