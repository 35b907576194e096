//! Which address a request goes to.

use std::cmp::Reverse;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use tokio::time::Instant;

use super::endpoint::{Endpoint, Usage};
use super::registry::Registry;
use super::server::Server;
use crate::config::Balance;

/// Where one request goes: a registry, and the part of it that may answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Destination<'a> {
    pub(crate) registry: &'a Arc<Registry>,
    pub(crate) part: Part,
}

/// The part of a registry that may answer a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Every server.
    Any,
    /// The server that the repository with this hash belongs to.
    OfRepository(u64),
    /// The server at this position.
    Server(usize),
}

/// An address that was picked.
pub(super) struct Pick<'a> {
    pub(super) server: &'a Arc<Server>,
    pub(super) endpoint: Arc<Endpoint>,
    /// No address of the registry is up, and this was the last one.
    pub(super) is_down: bool,
}

impl<'a> Destination<'a> {
    /// A request about `repository`, or about none.
    pub(crate) fn of_repository(registry: &'a Arc<Registry>, repository: Option<&str>) -> Self {
        let part = match (registry.balance, repository) {
            (Balance::Hash, Some(repository)) => Part::OfRepository(hash(repository)),
            _ => Part::Any,
        };
        Self { registry, part }
    }

    /// A question to one server alone.
    pub(crate) fn of_server(registry: &'a Arc<Registry>, server: usize) -> Self {
        Self { registry, part: Part::Server(server) }
    }

    /// Whether the server at this position of the registry may answer.
    pub(crate) fn may_go_to(self, server: usize) -> bool {
        let server = self.registry.servers.get(server);
        server.is_some_and(|server| self.servers().iter().any(|one| Arc::ptr_eq(one, server)))
    }

    /// The servers that may answer.
    pub(super) fn servers(self) -> &'a [Arc<Server>] {
        let all = &self.registry.servers;
        match self.part {
            Part::Server(at) => all.get(at..=at).unwrap_or_default(),
            Part::OfRepository(repository) if !self.registry.shared_storage => {
                let first = all.iter().enumerate().max_by_key(|(_, server)| score(repository, &server.name));
                first.map_or(&[], |(at, _)| &all[at..=at])
            }
            Part::Any | Part::OfRepository(_) => all,
        }
    }

    /// Whether another address may answer if one does not.
    pub(super) fn has_choice(self) -> bool {
        self.registry.has_choice()
    }

    /// The address for a request that has `tried` others in vain; `turn` goes up by one from
    /// request to request. If all are down, the one that went down last is tried, alone, unless it
    /// would only keep the client waiting. The addresses of one machine are all tried: nothing else
    /// finds out that one of them is up again.
    pub(super) fn pick(self, turn: usize, tried: &[Arc<Endpoint>]) -> Option<Pick<'a>> {
        let servers = self.servers();
        if let ([server], []) = (servers, tried)
            && let [endpoint] = server.endpoints().as_slice()
        {
            return Some(Pick { server, endpoint: endpoint.clone(), is_down: endpoint.health.is_down() })
                .filter(|pick| !pick.is_down || !self.has_choice() || !is_hopeless(endpoint));
        }
        let mut all = Vec::new();
        for server in servers {
            let endpoints = server.endpoints();
            all.extend(endpoints.iter().map(|endpoint| (server, endpoint.clone())));
        }
        let count = all.len().max(1);
        let rank = |at: usize, server: &Server, endpoint: &Endpoint| {
            // Each turn begins with another one.
            let place = (at + count - turn % count) % count;
            match (self.registry.balance, self.part) {
                (Balance::Hash, Part::OfRepository(repository)) => {
                    let of_server = Reverse(score(repository, &server.name));
                    (0, Some((of_server, Reverse(score(repository, &endpoint.address.to_string())))), place)
                }
                (Balance::LeastConnections, _) => (endpoint.connections(Usage::Active), None, place),
                (Balance::RoundRobin | Balance::Hash, _) => (0, None, place),
            }
        };
        let is_new = |endpoint: &Arc<Endpoint>| !tried.iter().any(|tried| Arc::ptr_eq(tried, endpoint));
        let best = all
            .iter()
            .enumerate()
            .filter(|(_, (_, endpoint))| !endpoint.health.is_down() && is_new(endpoint))
            .min_by_key(|(at, (server, endpoint))| rank(*at, server, endpoint));
        if let Some((_, (server, endpoint))) = best {
            return Some(Pick { server, endpoint: endpoint.clone(), is_down: false });
        }
        let down = all.into_iter().filter(|(_, endpoint)| is_new(endpoint));
        let last = down.max_by_key(|(_, endpoint)| endpoint.health.down_since());
        last.filter(|(_, endpoint)| !self.has_choice() || tried.is_empty() && !is_hopeless(endpoint))
            .map(|(server, endpoint)| Pick { server, endpoint, is_down: true })
    }
}

fn is_hopeless(endpoint: &Endpoint) -> bool {
    endpoint.health.is_hopeless(Instant::now())
}

/// The same in every process and every version, so that several tidegates send a repository to the
/// same server.
fn hash(repository: &str) -> u64 {
    let digest = digest(&SHA256, repository.as_bytes());
    digest.as_ref().iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// How much a repository belongs to a server or an address: it goes to the one with the highest
/// score (rendezvous hashing, Thaler and Ravishankar 1998). When one is added or removed, only the
/// repositories of that one move.
fn score(repository: u64, name: &str) -> u64 {
    hash(&format!("{repository} {name}"))
}

#[cfg(test)]
mod tests;
