//! Whether every worker still answers.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_local;
use tokio::time::Instant;

use super::report::{Heard, Report};
use super::workers::WorkersView;

/// A worker that does not answer within this time is stuck.
const PATIENCE: Duration = Duration::from_secs(3);
/// A round that ended less than this ago is not repeated.
const FRESH: Duration = Duration::from_millis(500);

/// Asks the workers on behalf of everybody who wants to know. There is one round at a time, so that
/// any number of probes costs the workers two questions a second.
pub(super) struct Heartbeat {
    workers: WorkersView,
    latest: RefCell<Option<watch::Receiver<Option<Round>>>>,
}

/// The answers of all workers.
#[derive(Clone, Debug)]
pub(super) struct Round {
    ended: Instant,
    pub(super) answers: Rc<Answers>,
}

#[derive(Debug, Default)]
pub(super) struct Answers {
    /// Of the workers that answered.
    pub(super) reports: Vec<Report>,
    /// The names of the threads that did not.
    pub(super) stuck: Vec<String>,
}

impl Heartbeat {
    pub(super) fn new(workers: WorkersView) -> Self {
        Self { workers, latest: RefCell::default() }
    }

    /// The answers of the present round, or of one that has just ended. Takes three seconds if a
    /// worker is stuck. Requires a runtime for local tasks.
    pub(super) async fn answers(&self) -> Rc<Answers> {
        let mut round = self.present();
        let ended = round.wait_for(Option::is_some).await;
        // An error means that the process ends.
        ended.ok().and_then(|round| round.clone()).map(|round| round.answers).unwrap_or_default()
    }

    fn present(&self) -> watch::Receiver<Option<Round>> {
        let mut latest = self.latest.borrow_mut();
        let is_usable = |round: &&watch::Receiver<Option<Round>>| {
            round.borrow().as_ref().is_none_or(|round| round.ended.elapsed() < FRESH)
        };
        if let Some(round) = latest.as_ref().filter(is_usable) {
            return round.clone();
        }
        let (end, round) = watch::channel(None);
        let workers = self.workers.clone();
        // A task of its own: whoever asked may leave, and others wait for the same answers.
        spawn_local(async move {
            let mut answers = Answers::default();
            for (thread, heard) in workers.ask(PATIENCE).await {
                match heard {
                    Heard::Report(report) => answers.reports.push(report),
                    Heard::Nothing => answers.stuck.push(thread),
                    Heard::Ended => {}
                }
            }
            if !answers.stuck.is_empty() {
                tracing::error!(threads = answers.stuck.join(", "), "worker threads do not answer");
            }
            end.send_replace(Some(Round { ended: Instant::now(), answers: Rc::new(answers) }));
        });
        *latest = Some(round.clone());
        round
    }
}
