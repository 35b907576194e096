//! Looks after the servers of the registry: looks their names up and checks their health, each at
//! intervals and as soon as a request has failed.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use crate::ping;
use crate::state::Shared;
use crate::upstream::{Endpoint, LOOK_UP_PAUSE, Registry, Server, UpstreamFault, look_up};

/// The longest wait for the answer to a check. A busy registry is slow without being down.
const PATIENCE: Duration = Duration::from_secs(5);
/// A look-up that takes longer has failed. Its result still counts when it comes.
const LOOK_UP: Duration = Duration::from_secs(5);
/// How soon a server notices that it is not in the settings any more.
const TICK: Duration = Duration::from_secs(1);

/// Looks after all servers of the current settings until it is dropped. With `always`, a registry
/// with one address is checked too. Requires a runtime for local tasks.
pub(crate) async fn look_after_servers(shared: Arc<Shared>, always: bool) {
    let mut kept: Vec<Arc<Server>> = Vec::new();
    let mut tasks = JoinSet::new();
    let mut replaced = shared.replaced.subscribe();
    loop {
        let state = shared.state().clone();
        for server in &state.routes.servers() {
            if !kept.iter().any(|kept| Arc::ptr_eq(kept, server)) {
                kept.push(server.clone());
                tasks.spawn_local(look_after(shared.clone(), server.clone(), always));
            }
        }
        tokio::select! {
            _ = replaced.changed() => {}
            Some(Ok(gone)) = tasks.join_next() => kept.retain(|kept| !Arc::ptr_eq(kept, &gone)),
        }
    }
}

/// Something that was asked and has ended.
enum Ended {
    LookUp(io::Result<Vec<SocketAddr>>),
    Check { endpoint: Arc<Endpoint>, registry: Arc<Registry>, outcome: Option<Result<(), UpstreamFault>> },
}

/// Looks after one server until the settings have it no more, and returns it then.
async fn look_after(shared: Arc<Shared>, server: Arc<Server>, always: bool) -> Arc<Server> {
    let mut running = JoinSet::new();
    // When the look-up that runs began, or when the next one is due.
    let (mut look_up_began, mut look_up_due, mut last_look_up) = (None::<Instant>, Instant::now(), None);
    let mut is_late = false;
    loop {
        let Some(registry) = shared.state().routes.registry_of(&server).cloned() else { return server };
        let now = Instant::now();
        let mut next = now + TICK;
        if let Some((host, port)) = server.host() {
            match look_up_began {
                None if look_up_due <= now => {
                    server.begin_look_up();
                    (look_up_began, last_look_up, is_late) = (Some(now), Some(now), false);
                    let host = host.to_owned();
                    running.spawn_local(async move { Ended::LookUp(look_up(&host, port).await) });
                }
                None => next = next.min(look_up_due),
                // One at a time: it occupies a thread until the resolver gives up.
                Some(began) if !is_late && now >= began + LOOK_UP => {
                    is_late = true;
                    server.look_up_is_late();
                }
                Some(_) => {}
            }
        }
        if always || registry.has_choice() {
            for endpoint in server.endpoints().iter() {
                match endpoint.health.next_check(registry.health_every, now) {
                    Some(due) if due <= now => {
                        endpoint.health.begin_check();
                        running.spawn_local(check(registry.clone(), server.clone(), endpoint.clone()));
                    }
                    Some(due) => next = next.min(due),
                    None => {}
                }
            }
        }
        tokio::select! {
            () = sleep_until(next) => {}
            () = server.attention_wanted() => {
                let soonest = last_look_up.map_or(now, |last: Instant| last + LOOK_UP_PAUSE);
                look_up_due = look_up_due.min(soonest);
            }
            Some(Ok(ended)) = running.join_next() => match ended {
                Ended::LookUp(found) => {
                    if let Err(error) = &found && !server.endpoints().is_empty() {
                        tracing::warn!(server = %server.name, %error, "cannot look up the registry; its known addresses stay");
                    }
                    server.looked_up(found);
                    look_up_began = None;
                    look_up_due = Instant::now() + registry.resolve_every;
                }
                Ended::Check { endpoint, registry, outcome } => record(&server, &endpoint, &registry, outcome),
            },
        }
    }
}

async fn check(registry: Arc<Registry>, server: Arc<Server>, endpoint: Arc<Endpoint>) -> Ended {
    let outcome = ping::check(&registry, &server, &endpoint, PATIENCE).await;
    Ended::Check { endpoint, registry, outcome }
}

fn record(
    server: &Server,
    endpoint: &Endpoint,
    registry: &Registry,
    outcome: Option<Result<(), UpstreamFault>>,
) {
    let Some(outcome) = outcome else { return endpoint.health.skip_check() };
    let counts = &server.counts;
    if outcome.is_ok() { &counts.checks_passed } else { &counts.checks_failed }.increment();
    let fault = outcome.clone().err();
    if endpoint.health.checked(outcome, !registry.has_choice()) {
        match fault {
            Some(fault) => server.went_down(endpoint, &fault),
            None => server.came_up(endpoint),
        }
    }
}
