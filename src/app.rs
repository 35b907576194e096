//! The process: start order, reload, stop order.

use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinError, JoinSet, spawn_blocking, spawn_local};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::acme;
use crate::auth::Verifier;
use crate::config::{AcmeChallenge, Config};
use crate::engine::{self, Engine};
use crate::log::access::AccessLog;
use crate::log::audit::{AuditLog, Entry, Event, Outcome};
use crate::log::program::ProgramLog;
use crate::metrics::ReloadCause;
use crate::problem::Problems;
use crate::process::{keep_memory_private, raise_file_limit, survive_file_size_limit};
use crate::reload::{Reloader, look_at};
use crate::server::{
    AdminServer, HTTPS, Plain, Slots, StopError, accept, accept_admin, cut, drain, start_workers,
};
use crate::sockets::{Role, SocketError, Sockets};
use crate::state::{Shared, State};
use crate::systemd::Manager;
use crate::upstream_check::look_after_servers;

/// How often files are checked for changes.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

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

/// Runs until a signal asks it to stop. Events go to `log`. `sockets` are those that were passed to
/// the process.
pub(crate) fn serve(path: &Path, log: &ProgramLog, sockets: Sockets) -> Result<(), AppError> {
    let config = Config::load(path).map_err(AppError::Settings)?;
    log.receive_events(&config.log);
    keep_memory_private();
    raise_file_limit();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let result = runtime.block_on(run(path, config, sockets));
    // Does not wait for blocking tasks, such as a name lookup.
    runtime.shutdown_background();
    result
}

async fn run(path: &Path, config: Config, mut sockets: Sockets) -> Result<(), AppError> {
    // From here on, signals are handled below instead of ending the process.
    let hangup = signal(SignalKind::hangup())?;
    let mut stop = StopSignals::new()?;
    survive_file_size_limit()?;
    let manager = Rc::new(Manager::of_environment());

    let engine = Engine::new(&config.shared).map_err(AppError::Settings)?;
    let mut engine_keeper: JoinSet<Infallible> = JoinSet::new();
    engine_keeper.spawn_local(engine::keep(engine.clone()));
    let loaded = look_at(&config);
    let state = State::build(config, None).map_err(AppError::Settings)?;
    for warning in &state.warnings {
        tracing::warn!("{warning}");
    }
    let config = &state.config;
    let listeners = sockets.tcp(Role::Https, &config.server.listen)?;
    let plain_listeners = sockets.tcp(Role::Http, &config.server.plain)?;
    let admin_listeners = sockets.admin(&config.server.admin)?;
    let verifier = Verifier::new(&config.auth)?;
    let access_log = AccessLog::open(&config.log).map_err(AppError::AccessLog)?;
    let audit_log = AuditLog::open(&config.log).map_err(AppError::AuditLog)?;
    let (connections, connections_per_ip) = (config.limits.connections, config.limits.connections_per_ip);
    let slots = Slots::new(connections, connections_per_ip);
    let threads = config.server.threads;
    let shared = Arc::new(Shared::new(state, verifier, access_log.clone(), audit_log.clone(), engine));
    let reloader = Reloader::new(path, shared.clone(), loaded);
    let mut workers = start_workers(threads, &shared)?;
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
    let mut admin_tasks = JoinSet::new();
    admin_tasks.spawn_local(look_after_servers(shared.clone(), !admin_listeners.is_empty()));
    if !admin_listeners.is_empty() {
        admin_tasks.spawn_local(admin.clone().keep_chart());
    }
    for listener in admin_listeners {
        tracing::info!(address = %listener, "listening for health and metrics");
        admin_tasks.spawn_local(accept_admin(listener, admin.clone()));
    }
    admin_tasks.spawn_local(feed_watchdog(manager.clone(), admin.clone()));
    let wanted = || {
        shared.state().config.acme.clone().filter(|acme| acme.challenge != AcmeChallenge::Http01 || has_plain)
    };
    let (orders, settings) = watch::channel(wanted());
    let issued = Rc::new(Notify::new());
    let challenges = shared.state().tls.challenges.clone();
    let keeper = spawn_local(acme::keep(settings, challenges, issued.clone()));

    let order_certificates = || {
        orders.send_if_modified(|known| {
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
    manager.ready(&standing(&shared));
    let running = tokio::select! {
        signal = stop.received() => Ok(signal),
        failure = workers.failed() => Err(StopError::Worker(failure)),
        Some(_) = acceptors.join_next() => Err(StopError::LostTask("accepting connections")),
        Some(_) = admin_tasks.join_next() => Err(StopError::LostTask("health and metrics")),
        Some(_) = engine_keeper.join_next() => Err(StopError::LostTask("the shared state")),
        _panic = keep_reloading(reloader, hangup, &shared, &issued, &manager, reloaded) => {
            Err(StopError::LostTask("reloading"))
        }
    };
    // Before anything else: balancers look elsewhere while clients are still served.
    shared.begin_to_drain();
    manager.stopping("stopping; running transfers may finish");
    keeper.abort();
    let result = match running {
        Ok(signal) => {
            let (delay, patience) = {
                let server = &shared.state().config.server;
                (server.drain_delay, server.drain_timeout)
            };
            let stopped_at_once = async || {
                stop.received().await;
            };
            drain(workers, acceptors, delay, patience, stopped_at_once).await.map(|()| signal)
        }
        // Stops at once, because new clients are served only after the supervisor's restart.
        Err(error) => {
            _ = cut(workers, acceptors).await;
            Err(error)
        }
    };
    // Removes the sockets. Whoever watched until now gets the end of the answer.
    admin_tasks.shutdown().await;
    admin.finish().await;
    let (outcome, reason) = match &result {
        Ok(signal) => (Outcome::Success, (*signal).to_owned()),
        Err(error) => (Outcome::Failure, error.to_string()),
    };
    audit_log.write(&Entry { reason: Some(&reason), ..Entry::new(Event::Stop, outcome) });
    audit_log.close();
    access_log.close();
    result?;
    Ok(())
}

/// Reloads after SIGHUP, after a file has changed and after a certificate was issued, then calls
/// `reloaded`. Reloads run one by one on a thread for blocking work, because disks may be slow.
/// Returns only if a reload panics.
async fn keep_reloading(
    mut reloader: Reloader,
    mut hangup: Signal,
    shared: &Shared,
    issued: &Notify,
    manager: &Manager,
    reloaded: impl Fn(),
) -> JoinError {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let mut is_asked = false;
        let reload: fn(&mut Reloader) = tokio::select! {
            _ = hangup.recv() => {
                is_asked = true;
                manager.reloading();
                shared.access_log.reopen();
                shared.audit_log.reopen();
                |reloader| reloader.reload(ReloadCause::Signal)
            }
            _ = looks.tick() => Reloader::look,
            () = issued.notified() => Reloader::renew,
        };
        let blocking = spawn_blocking(move || {
            reload(&mut reloader);
            reloader
        });
        reloader = match blocking.await {
            Ok(reloader) => reloader,
            Err(panic) => return panic,
        };
        reloaded();
        if is_asked {
            manager.ready(&standing(shared));
        }
    }
}

/// What the service manager is told of the process.
fn standing(shared: &Shared) -> String {
    match shared.reloads.last().and_then(|last| last.error) {
        Some(error) => {
            format!("serving with the settings of before, because of mistakes in the new ones: {error}")
        }
        None => "serving".to_owned(),
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
fn https_port(listeners: &[Rc<TcpListener>]) -> io::Result<u16> {
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    let ports = ports.collect::<io::Result<Vec<u16>>>()?;
    let first = ports.first().copied().unwrap_or(HTTPS);
    Ok(if ports.contains(&HTTPS) { HTTPS } else { first })
}
