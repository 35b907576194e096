//! What changes the running process: signals, changed files, new certificates and new programs.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::{MissedTickBehavior, interval};

use crate::handover::{HandoverError, Program, Successor};
use crate::log::audit::{Entry, Event, Outcome};
use crate::metrics::ReloadCause;
use crate::reload::Reloader;
use crate::state::Shared;
use crate::systemd::Manager;

/// How often files are checked for changes.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// What reloads and handovers need.
pub(crate) struct Caretaker<'a> {
    pub shared: &'a Shared,
    pub program: &'a Program,
    pub manager: &'a Manager,
    /// A certificate was issued.
    pub issued: &'a Notify,
}

impl Caretaker<'_> {
    /// Reloads after SIGHUP, after a file has changed and after a certificate was issued, then
    /// calls `reloaded`. Reloads run one by one on a thread for blocking work, because disks may be
    /// slow.
    ///
    /// After SIGUSR2, and after SIGHUP if another program is on the disk, starts the program there;
    /// returns the new process when it is ready. An error is the panic of a reload.
    pub(crate) async fn keep_reloading(
        &self,
        mut reloader: Reloader,
        mut orders: OrderSignals,
        reloaded: impl Fn(),
        start_successor: impl AsyncFn() -> Result<Successor, HandoverError>,
    ) -> Result<Successor, JoinError> {
        let mut looks = interval(LOOK_INTERVAL);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut is_asked = false;
            let reload: Option<Reload> = tokio::select! {
                order = orders.received() => {
                    is_asked = true;
                    self.manager.reloading();
                    self.shared.access_log.reopen();
                    self.shared.audit_log.reopen();
                    let is_handover = order == Order::HandOver || self.program.has_changed();
                    (!is_handover).then_some(after_signal as Reload)
                }
                _ = looks.tick() => Some(Reloader::look as Reload),
                () = self.issued.notified() => Some(Reloader::renew as Reload),
            };
            match reload {
                None => match start_successor().await {
                    Ok(successor) => return Ok(successor),
                    Err(error) => self.report(&error),
                },
                Some(reload) => {
                    let blocking = spawn_blocking(move || {
                        reload(&mut reloader);
                        reloader
                    });
                    reloader = blocking.await?;
                    reloaded();
                }
            }
            if is_asked {
                self.manager.ready(&standing(self.shared));
            }
        }
    }

    fn report(&self, error: &HandoverError) {
        let reason = error.to_string();
        tracing::error!("the new program does not take over, and this one goes on: {reason}");
        let entry = Entry::new(Event::Handover, Outcome::Failure);
        self.shared.audit_log.write(&Entry { reason: Some(&reason), ..entry });
        self.shared.reloads.record(ReloadCause::Handover, Some(reason));
    }
}

/// One of the ways to reload.
type Reload = fn(&mut Reloader);

fn after_signal(reloader: &mut Reloader) {
    reloader.reload(ReloadCause::Signal);
}

/// What the service manager is told of the process.
pub(crate) fn standing(shared: &Shared) -> String {
    let last = shared.reloads.last();
    match last.and_then(|last| Some((last.cause, last.error?))) {
        None => "serving".to_owned(),
        Some((ReloadCause::Handover, error)) => {
            format!("serving; the new program does not take over: {error}")
        }
        Some((_, error)) => {
            format!("serving with the settings of before, because of mistakes in the new ones: {error}")
        }
    }
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Reload,
    HandOver,
}

/// SIGHUP and SIGUSR2.
pub(crate) struct OrderSignals {
    reload: Signal,
    hand_over: Signal,
}

impl OrderSignals {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { reload: signal(SignalKind::hangup())?, hand_over: signal(SignalKind::user_defined2())? })
    }

    /// Waits for the next of them.
    async fn received(&mut self) -> Order {
        tokio::select! {
            _ = self.reload.recv() => Order::Reload,
            _ = self.hand_over.recv() => Order::HandOver,
        }
    }
}
