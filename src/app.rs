//! The process: start order, reload, stop order.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, LocalOptions};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, spawn_local};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tracing_subscriber::EnvFilter;

use crate::acme;
use crate::auth::Verifier;
use crate::config::{AcmeChallenge, Config, Log, LogFormat};
use crate::log::access::AccessLog;
use crate::problem::Problems;
use crate::reload::{Reloader, look_at};
use crate::server::{Connections, HTTPS, Phase, Plain, Workers, accept, bind};
use crate::state::{Shared, State};

/// How often files are looked at for a change.
const LOOK: Duration = Duration::from_millis(500);
/// A client in the middle of a push sends its next request within this time after the last.
const QUIET: Duration = Duration::from_secs(1);
/// How long connections that are cut may take to let go of what they hold.
const CUT: Duration = Duration::from_secs(1);
/// How often the requests under way are counted while draining.
const COUNT: Duration = Duration::from_millis(20);

/// Why the process does not start, or ends in disorder.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AppError {
    /// The settings, or files they name.
    #[error("{0}")]
    Settings(Problems),
    /// A listening address.
    #[error("{0} {1}: {2}")]
    Bind(&'static str, SocketAddr, String),
    /// The access log.
    #[error("log.access: cannot be opened: {0}")]
    AccessLog(io::Error),
    /// Threads, signals, random numbers.
    #[error("the system refuses: {0}")]
    System(#[from] io::Error),
    /// A second SIGTERM or SIGINT.
    #[error("stopped at once, as asked; running transfers were cut")]
    Impatient,
}

/// Reads the settings and everything they name, without starting anything.
pub(crate) fn check(path: &Path) -> Result<State, Problems> {
    let config = Config::load(path)?;
    State::build(config, None)
}

/// Runs until told to stop.
pub(crate) fn serve(path: &Path) -> Result<(), AppError> {
    let config = Config::load(path).map_err(AppError::Settings)?;
    start_log(&config.log);
    keep_memory_private();
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let result = runtime.block_on(run(path, config));
    // Workers whose transfers were cut are still waited for in the background.
    runtime.shutdown_background();
    result
}

async fn run(path: &Path, config: Config) -> Result<(), AppError> {
    // From here on a signal waits for us instead of ending the process.
    let mut hangup = signal(SignalKind::hangup())?;
    let mut stop =
        Stop { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };

    let loaded = look_at(path, &config);
    let state = State::build(config, None).map_err(AppError::Settings)?;
    for warning in &state.warnings {
        tracing::warn!("{warning}");
    }
    let config = &state.config;
    let listeners = bind_all("server.listen", &config.server.listen)?;
    let plain_listeners = bind_all("server.plain", &config.server.plain)?;
    let verifier = Verifier::new(&config.auth)?;
    let access_log = AccessLog::open(&config.log).map_err(AppError::AccessLog)?;
    let connections = Connections::new(config.limits.connections, config.limits.connections_per_ip);
    let threads = config.server.threads;
    let shared = Arc::new(Shared::new(state, verifier, access_log.clone()));
    let mut reloader = Reloader::new(path, shared.clone(), loaded);
    let (phase, phases) = watch::channel(Phase::Running);
    let workers = Rc::new(Workers::start(threads, &shared, &phases)?);
    let mut acceptors = Vec::new();
    let plain = Rc::new(Plain::new(shared.clone(), https_port(&listeners)?));
    for listener in listeners {
        tracing::info!(address = %listener.local_addr()?, "listening");
        acceptors.push(spawn_local(accept(listener, connections.clone(), workers.clone())));
    }

    let has_plain = !plain_listeners.is_empty();
    for listener in plain_listeners {
        tracing::info!(address = %listener.local_addr()?, "listening for plain HTTP");
        acceptors.push(spawn_local(plain.clone().accept(listener, connections.clone())));
    }
    let wanted = || {
        shared.state().config.acme.clone().filter(|acme| acme.challenge != AcmeChallenge::Http01 || has_plain)
    };
    let (orders, settings) = watch::channel(wanted());
    let issued = Rc::new(Notify::new());
    let challenges = shared.state().tls.challenges.clone();
    let keeper = spawn_local(acme::keep(settings, challenges, issued.clone()));

    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.asked() => break,
            _ = hangup.recv() => {
                access_log.reopen();
                reloader.reload("SIGHUP");
            }
            _ = looks.tick() => reloader.look(),
            () = issued.notified() => reloader.renew(),
        }
        orders.send_if_modified(|known| {
            let now = wanted();
            let changed = *known != now;
            *known = now;
            changed
        });
    }
    keeper.abort();
    let patience = shared.state().config.server.drain_timeout;
    let result = drain(workers, acceptors, &phase, patience, &mut stop).await;
    access_log.close();
    result
}

/// Ends in order: lets requests finish and clients in the middle of a push send their next one, for half of `patience` at
/// most; then closes the listeners and waits for what is left. What is not over within `patience` is cut.
async fn drain(
    workers: Rc<Workers>,
    acceptors: Vec<JoinHandle<()>>,
    phase: &watch::Sender<Phase>,
    patience: Duration,
    stop: &mut Stop,
) -> Result<(), AppError> {
    let begun = Instant::now();
    tracing::info!(requests = workers.requests(), "draining");
    phase.send_replace(Phase::Draining);
    let mut result = tokio::select! {
        () = quiet(&workers) => Ok(()),
        () = sleep_until(begun + patience / 2) => Ok(()),
        () = stop.asked() => Err(AppError::Impatient),
    };
    for acceptor in acceptors {
        acceptor.abort();
        _ = acceptor.await;
    }
    phase.send_replace(Phase::Closing);
    // The acceptors were the only others to hold them.
    let workers = Rc::into_inner(workers);
    let mut gone = tokio::task::spawn_blocking(move || workers.map(Workers::join));
    if result.is_ok() {
        result = tokio::select! {
            _ = &mut gone => {
                tracing::info!("stopped");
                return Ok(());
            }
            () = sleep_until(begun + patience) => Ok(()),
            () = stop.asked() => Err(AppError::Impatient),
        };
    }
    phase.send_replace(Phase::Cutting);
    _ = timeout(CUT, gone).await;
    tracing::warn!("stopped; transfers that were still running were cut");
    result
}

/// Waits until no request has been under way and none has begun for a while.
async fn quiet(workers: &Workers) {
    let mut counts = interval(COUNT);
    let mut since = Instant::now();
    let mut begun = workers.begun();
    while since.elapsed() < QUIET {
        counts.tick().await;
        if workers.requests() > 0 || workers.begun() != begun {
            begun = workers.begun();
            since = Instant::now();
        }
    }
}

/// SIGTERM and SIGINT.
struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    async fn asked(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn bind_all(key: &'static str, addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, AppError> {
    let advice = |address: SocketAddr, error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => format!(
            "the port is in use; `ss -ltnp 'sport = :{}'` shows by whom; stop that program or choose another port",
            address.port()
        ),
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 need root or the capability CAP_NET_BIND_SERVICE".to_owned()
        }
        io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; `ip address` lists those it has".to_owned()
        }
        _ => error.to_string(),
    };
    let bind = |&address: &SocketAddr| {
        bind(address, addresses).map_err(|error| AppError::Bind(key, address, advice(address, error)))
    };
    addresses.iter().map(bind).collect()
}

/// The port that clients are sent to: that of https where it is among ours, else our first.
fn https_port(listeners: &[TcpListener]) -> io::Result<u16> {
    let ports = listeners.iter().map(|listener| Ok(listener.local_addr()?.port()));
    let ports = ports.collect::<io::Result<Vec<u16>>>()?;
    let first = ports.first().copied().unwrap_or(HTTPS);
    Ok(if ports.contains(&HTTPS) { HTTPS } else { first })
}

fn start_log(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    // Fails only when a log has been started already, by whoever uses this as a library.
    _ = match log.format {
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
        LogFormat::Text => builder.with_ansi(io::stderr().is_terminal()).try_init(),
    };
}

/// Passwords and keys are in this memory: no core dump, no debugger of the same user. Then room for
/// as many connections as the system allows.
fn keep_memory_private() {
    _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let files = getrlimit(Resource::Nofile);
    _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
}
