//! The process: start order, reload, stop order.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{Instant, sleep, timeout};

use crate::acme;
use crate::agreement;
use crate::auth::Verifier;
use crate::caretaker::{Caretaker, OrderSignals, standing};
use crate::config::{AcmeChallenge, Config};
use crate::engine::{self, Engine};
use crate::handover::{Inheritance, Predecessor, Program, Successor};
use crate::log::access::AccessLog;
use crate::log::audit::{AuditLog, Entry, Event, Outcome};
use crate::log::program::ProgramLog;
use crate::metrics::Asked;
use crate::problem::Problems;
use crate::process::{keep_memory_private, raise_file_limit, survive_file_size_limit};
use crate::reload::{Reloader, look_at};
use crate::server::{
    AdminServer, HTTPS, ListeningSocket, Plain, Slots, StopError, accept, accept_admin, cut, drain, leave,
    start_workers,
};
use crate::sockets::{Role, SocketError, Sockets};
use crate::state::{Shared, State};
use crate::systemd::Manager;
use crate::token::{OwnList, Tokens};
use crate::upstream_check::look_after_servers;

/// Longest wait for what the process tells other replicas at its end.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Open connections of plain HTTP, which last for one answer. They are apart from the others, which
/// a client without TLS must not crowd out.
const PLAIN_CONNECTIONS: usize = 256;

/// What the audit log says of a start.
const VERSION: &str = concat!("tidegate ", env!("CARGO_PKG_VERSION"));

/// Why the process does not start, or stops without draining.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The settings or a file they name are wrong.
    #[error("{0}")]
    Settings(Problems),
    /// There is no socket to listen on.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The access log cannot be opened.
    #[error("log.access: cannot be opened: {0}")]
    AccessLog(io::Error),
    /// The audit log cannot be opened.
    #[error("log.audit: cannot be opened: {0}")]
    AuditLog(io::Error),
    /// The system provides no threads, signals or random numbers.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
    /// The process has stopped without waiting for its transfers.
    #[error(transparent)]
    Stop(#[from] StopError),
}

/// Reads the settings and everything they name, without starting anything.
pub(crate) fn check(path: &Path) -> Result<State, Problems> {
    let config = Config::load(path)?;
    let mut problems = Problems::default();
    let engine = problems.take(Engine::new(&config.shared));
    let state = problems.take(State::build(config, None));
    state.filter(|_| engine.is_some()).ok_or(problems)
}

/// Runs until a signal asks it to stop, or another process takes over. Events go to `log`.
/// `sockets` are those that systemd passes. With `takes_over`, another process passes the rest.
pub(crate) fn serve(
    path: &Path,
    log: &ProgramLog,
    sockets: Sockets,
    takes_over: bool,
) -> Result<(), AppError> {
    let config = Config::load(path).map_err(AppError::Settings)?;
    log.receive_events(&config.log);
    keep_memory_private();
    raise_file_limit();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let result = runtime.block_on(run(path, config, sockets, takes_over));
    // Does not wait for blocking tasks, such as a name lookup.
    runtime.shutdown_background();
    result
}

async fn run(path: &Path, config: Config, mut sockets: Sockets, takes_over: bool) -> Result<(), AppError> {
    // From here on, signals are handled below instead of ending the process.
    let orders = OrderSignals::new()?;
    let mut stop = StopSignals::new()?;
    survive_file_size_limit()?;
    let manager = Rc::new(Manager::of_environment());
    let program = Program::running()?;
    let (predecessor, inheritance) = if takes_over {
        let (predecessor, inheritance) = Predecessor::meet().await?;
        (Some(predecessor), inheritance)
    } else {
        (None, Inheritance::default())
    };
    let Inheritance { sockets: inherited, numbers, heritage } = inheritance;
    sockets.inherit(inherited)?;

    let engine = Engine::new(&config.shared).map_err(AppError::Settings)?;
    let mut engine_keeper: JoinSet<Infallible> = JoinSet::new();
    engine_keeper.spawn_local(engine::keep(engine.clone()));
    let loaded = look_at(&config);
    let mut state = State::build(config, None).map_err(AppError::Settings)?;
    heritage.pass_to(&mut state);
    let until = Instant::now() + engine::AT_START;
    if let Some(engine) = &engine {
        agreement::begin(engine, &state, until).await;
    }
    for warning in &state.warnings {
        tracing::warn!("{warning}");
    }
    let config = &state.config;
    let listeners = sockets.tcp(Role::Https, &config.server.listen)?;
    let plain_listeners = sockets.tcp(Role::Http, &config.server.plain)?;
    let admin_listeners = sockets.admin(&config.server.admin)?;
    sockets.close_rest();
    let mut verifier = Verifier::new(&config.auth)?;
    if let Some(engine) = &engine {
        verifier.share(engine);
    }
    let access_log = AccessLog::open(&config.log).map_err(AppError::AccessLog)?;
    let audit_log = AuditLog::open(&config.log, numbers).map_err(AppError::AuditLog)?;
    let (connections, connections_per_ip) = (config.limits.connections, config.limits.connections_per_ip);
    let slots = Slots::new(connections, connections_per_ip);
    let threads = config.server.threads;
    let mut shared = Shared::new(state, verifier, access_log.clone(), audit_log.clone(), engine);
    shared.take_over_locks(&heritage);
    let shared = Arc::new(shared);
    if shared.revocations.is_some() {
        engine_keeper.spawn_local(keep_revocations(shared.clone()));
    }
    if let Some(revocations) = shared.revocations.as_ref().filter(|_| own_list(&shared).is_some()) {
        revocations.first_reading(until).await;
    }
    engine_keeper.spawn_local(agreement::keep(shared.clone()));
    let tag_locks = shared.tag_locks.clone();
    engine_keeper.spawn_local(async move { tag_locks.keep().await });
    let reloader = Reloader::new(path, shared.clone(), loaded);
    let mut workers = start_workers(threads, &shared)?;
    // All that can fail has been done.
    if let Some(predecessor) = &predecessor {
        tokio::select! {
            leave = predecessor.take_over() => leave?,
            _ = stop.received() => return Ok(()),
        }
    }
    audit_log.write(&Entry { reason: Some(VERSION), ..Entry::new(Event::Start, Outcome::Success) });
    let mut acceptors = JoinSet::new();
    let plain = Rc::new(Plain::new(shared.clone(), https_port(&listeners)?));
    for listener in listeners {
        tracing::info!(address = %listener.local_addr()?, "listening");
        acceptors.spawn_local(accept(listener, slots.clone(), shared.clone(), workers.view()));
    }

    let has_plain = !plain_listeners.is_empty();
    let plain_slots = Slots::new(PLAIN_CONNECTIONS.min(connections), connections_per_ip);
    for listener in plain_listeners {
        tracing::info!(address = %listener.local_addr()?, "listening for plain HTTP");
        acceptors.spawn_local(plain.clone().accept(listener, plain_slots.clone()));
    }
    let admin = AdminServer::new(shared.clone(), workers.view(), slots);
    let (mut admin_tasks, mut admin_acceptors) = (JoinSet::new(), JoinSet::new());
    admin_tasks.spawn_local(keep_issuer_keys(shared.clone()));
    admin_tasks.spawn_local(look_after_servers(shared.clone(), !admin_listeners.is_empty()));
    if !admin_listeners.is_empty() {
        admin_tasks.spawn_local(admin.clone().keep_chart());
    }
    for listener in admin_listeners {
        tracing::info!(address = %listener, "listening for health and metrics");
        admin_acceptors.spawn_local(accept_admin(listener, admin.clone()));
    }
    admin_tasks.spawn_local(feed_watchdog(manager.clone(), admin.clone()));
    let wanted = || {
        shared.state().config.acme.clone().filter(|acme| acme.challenge != AcmeChallenge::Http01 || has_plain)
    };
    let (wishes, settings) = watch::channel(wanted());
    let issued = Rc::new(Notify::new());
    let challenges = shared.state().tls.challenges.clone();
    let (engine, is_holder) = (shared.engine.clone(), shared.is_acme_holder.clone());
    let engine = engine.map(|engine| engine.asking(Asked::Acme));
    if let Some(engine) = &engine {
        challenges.share(engine.clone());
    }
    let common = acme::Common { engine, is_holder };
    let mut keeper = spawn_local(acme::keep(settings, challenges, issued.clone(), common));

    let order_certificates = || {
        wishes.send_if_modified(|known| {
            let now = wanted();
            let changed = *known != now;
            *known = now;
            changed
        });
    };
    let reloaded = || {
        order_certificates();
        manager.status(&standing(&shared));
    };
    let start_successor = async || Successor::start(&program, &shared, &sockets).await;
    let caretaker = Caretaker { shared: &shared, program: &program, manager: &manager, issued: &issued };
    manager.ready(&standing(&shared));
    let running = tokio::select! {
        signal = stop.received() => Ok(End::Asked(signal)),
        failure = workers.failed() => Err(StopError::Worker(failure)),
        Some(_) = acceptors.join_next() => Err(StopError::LostTask("accepting connections")),
        Some(_) = admin_tasks.join_next() => Err(StopError::LostTask("health and metrics")),
        Some(_) = admin_acceptors.join_next() => Err(StopError::LostTask("accepting of health and metrics")),
        Some(_) = engine_keeper.join_next() => Err(StopError::LostTask("the shared state")),
        end = caretaker.keep_reloading(reloader, orders, reloaded, start_successor) => match end {
            Ok(successor) => Ok(End::Replaced(successor)),
            Err(_panic) => Err(StopError::LostTask("reloading")),
        }
    };
    // Before anything else: balancers look elsewhere while clients are still served.
    shared.begin_to_drain();
    let (delay, patience) = {
        let server = &shared.state().config.server;
        (server.drain_delay, server.drain_timeout)
    };
    // Then the locks of `acme.state` are free, and another replica need not wait for the lease.
    drop(wishes);
    if timeout(LAST_WORD, &mut keeper).await.is_err() {
        keeper.abort();
        _ = keeper.await;
    }
    let stopped = async || {
        stop.received().await;
    };
    let result = match running {
        Ok(End::Asked(signal)) => {
            manager.stopping("stopping; running transfers may finish");
            drain(workers, acceptors, delay, patience, stopped).await.map(|()| signal.to_owned())
        }
        Ok(End::Replaced(mut successor)) => {
            let pid = successor.pid();
            sockets.leave_files();
            acceptors.shutdown().await;
            admin_acceptors.shutdown().await;
            manager.replaced_by(pid);
            match successor.go().await {
                Ok(()) => {
                    if let Some(predecessor) = &predecessor {
                        predecessor.was_replaced().await;
                    }
                    let reason = format!("process {pid} has taken over");
                    tracing::info!(pid, "another process has taken over");
                    audit_log.write(&Entry {
                        reason: Some(&reason),
                        ..Entry::new(Event::Handover, Outcome::Success)
                    });
                    admin.finish().await;
                    leave(workers, patience, stopped, successor.has_failed()).await.map(|()| reason)
                }
                Err(_ended) => {
                    _ = cut(workers, acceptors).await;
                    Err(StopError::Deserted)
                }
            }
        }
        // Stops at once, because new clients are served only after the supervisor's restart.
        Err(error) => {
            manager.stopping("stopping after a failure");
            _ = cut(workers, acceptors).await;
            Err(error)
        }
    };
    shared.tag_locks.finish().await;
    // Removes the sockets. Whoever watched until now gets the end of the answer.
    admin_acceptors.shutdown().await;
    admin_tasks.shutdown().await;
    admin.finish().await;
    let (outcome, reason) = match &result {
        Ok(reason) => (Outcome::Success, reason.clone()),
        Err(error) => (Outcome::Failure, error.to_string()),
    };
    audit_log.write(&Entry { reason: Some(&reason), ..Entry::new(Event::Stop, outcome) });
    audit_log.close();
    access_log.close();
    result?;
    Ok(())
}

/// The list of revoked logins of this replica, and the life of identity tokens.
fn own_list(shared: &Shared) -> Option<OwnList> {
    shared.state().tokens.as_ref().and_then(Tokens::own_list)
}

/// Publishes and reads revoked logins, for ever.
async fn keep_revocations(shared: Arc<Shared>) -> Infallible {
    let Some(revocations) = &shared.revocations else { return pending().await };
    revocations.keep(|| own_list(&shared)).await
}

/// Why the process no longer accepts connections.
enum End {
    /// By this signal.
    Asked(&'static str),
    Replaced(Successor),
}

/// Fetches the keys of the issuers of the current settings at intervals.
async fn keep_issuer_keys(shared: Arc<Shared>) {
    let mut replaced = shared.replaced.subscribe();
    loop {
        let state = shared.state().clone();
        let keep = async {
            match &state.sources {
                Some(sources) => sources.issuers.keep_keys().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = keep => return,
            _ = replaced.changed() => {}
        }
    }
}

/// Tells the service manager that the process works, as long as every worker does.
async fn feed_watchdog(manager: Rc<Manager>, admin: Rc<AdminServer>) {
    let Some(period) = manager.watchdog() else { return pending().await };
    loop {
        if admin.is_alive().await {
            manager.alive();
        }
        sleep(period).await;
    }
}

/// SIGTERM and SIGINT.
struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    /// Waits for the next of them, and returns its name.
    async fn received(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The port that clients are redirected to: 443 if it is one of the ports, else the first.
fn https_port(listeners: &[Rc<ListeningSocket>]) -> io::Result<u16> {
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    let ports = ports.collect::<io::Result<Vec<u16>>>()?;
    let first = ports.first().copied().unwrap_or(HTTPS);
    Ok(if ports.contains(&HTTPS) { HTTPS } else { first })
}
