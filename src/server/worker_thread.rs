//! The life of a worker thread.

use std::future::{pending, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_local};
use tokio::time::interval;

use super::connection;
use super::field_names::FieldNames;
use super::phase::Phase;
use super::report::{Question, Report};
use super::worker::Worker;
use super::workers::{FailureCause, Handover, Inbox, Workers};
use crate::body::FairQueue;
use crate::gate::Gate;
use crate::state::Shared;
use crate::upstream::Upstream;

/// How often idle connections to the registry are checked.
const SWEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Starts `count` worker threads and waits until they are ready.
pub(crate) fn start_workers(count: usize, shared: &Arc<Shared>) -> io::Result<Workers> {
    let shared = shared.clone();
    Workers::start(count, move |inbox| run(inbox, shared.clone()))
}

/// Serves connections until the process closes and the last of them is gone.
async fn run(inbox: Inbox, shared: Arc<Shared>) -> Result<(), FailureCause> {
    let Inbox { number, handovers, questions, load, phase } = inbox;
    let threads = shared.state().config.server.threads;
    let counts = shared.metrics.of_worker(number);
    let upstream = Rc::new(Upstream::new(threads, &counts, shared.connections_wanted.clone()));
    let turns = Rc::new(FairQueue::new(counts.clone()));
    let field_names = FieldNames::read().await.map_err(FailureCause::FieldNames)?;
    let gate = Gate::new(shared, upstream.clone(), threads);
    let worker = Rc::new(Worker { gate, turns: turns.clone(), field_names, load, counts, phase });
    let helpers = [
        ("giving turns to transfers", spawn_local(give_turns(turns))),
        ("closing idle connections", spawn_local(sweep(upstream))),
        ("answering for its health", spawn_local(answer(worker.clone(), questions))),
    ];
    with_helpers(helpers, serve_all(worker, handovers)).await
}

async fn give_turns(turns: Rc<FairQueue>) {
    turns.give().await;
}

async fn sweep(upstream: Rc<Upstream>) {
    let regularly = async {
        let mut ticks = interval(SWEEP_INTERVAL);
        loop {
            ticks.tick().await;
            upstream.sweep();
        }
    };
    tokio::select! {
        () = regularly => {}
        () = upstream.give_up_idle() => {}
    }
}

/// Answers until the process no longer asks.
async fn answer(worker: Rc<Worker>, mut questions: mpsc::UnboundedReceiver<Question>) {
    while let Some(question) = questions.recv().await {
        // Nobody may wait for the answer any more.
        let (transfers, running) = worker.gate.transfers.report();
        let refusals = worker.gate.recent.report();
        _ = question.send(Report { transfers, running, refusals });
    }
    // Nobody can ask any more. The worker goes on.
    pending().await
}

/// Runs `work` to its end, or until one of the tasks ends without which it cannot go on.
async fn with_helpers<const N: usize>(
    mut helpers: [(&'static str, JoinHandle<()>); N],
    work: impl Future<Output = ()>,
) -> Result<(), FailureCause> {
    let mut work = pin!(work);
    let end = poll_fn(|cx| {
        for (purpose, task) in &mut helpers {
            if Pin::new(task).poll(cx).is_ready() {
                return Poll::Ready(Err(FailureCause::LostTask(purpose)));
            }
        }
        work.as_mut().poll(cx).map(Ok)
    });
    let end = end.await;
    for (_, task) in helpers {
        task.abort();
    }
    end
}

async fn serve_all(worker: Rc<Worker>, mut handovers: mpsc::UnboundedReceiver<Handover>) {
    let mut connections = JoinSet::new();
    let mut closing = pin!(worker.reached(Phase::Closing));
    loop {
        tokio::select! {
            () = closing.as_mut(), if !handovers.is_closed() => handovers.close(),
            handover = handovers.recv() => match handover {
                Some(handover) => {
                    #[cfg(debug_assertions)]
                    {
                        panic_for_a_test();
                        stick_for_a_test();
                    }
                    connections.spawn_local(serve(worker.clone(), handover));
                }
                None => break,
            },
            Some(ended) = connections.join_next() => log_panic(ended),
        }
    }
    while let Some(ended) = connections.join_next().await {
        log_panic(ended);
    }
    tokio::select! {
        () = worker.gate.unattended.ended() => {}
        () = worker.reached(Phase::Cutting) => {}
    }
}

async fn serve(worker: Rc<Worker>, handover: Handover) {
    let Handover { accepted, open: _open } = handover;
    connection::serve(&worker, accepted).await;
}

/// A panic ends one connection. The others are not affected.
fn log_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection has panicked");
    }
}

/// Panics when a connection comes in and the file `TIDEGATE_TEST_PANIC` exists. In debug builds
/// only, for the test of a worker that fails.
#[cfg(debug_assertions)]
fn panic_for_a_test() {
    let file = std::env::var_os("TIDEGATE_TEST_PANIC");
    assert!(!file.is_some_and(|file| std::path::Path::new(&file).exists()), "a panic for a test");
}

/// Blocks the thread when a connection comes in and the file `TIDEGATE_TEST_STICK` exists, for as
/// long as it does. In debug builds only, for the test of a worker that is stuck.
#[cfg(debug_assertions)]
fn stick_for_a_test() {
    let Some(file) = std::env::var_os("TIDEGATE_TEST_STICK") else { return };
    while std::path::Path::new(&file).exists() {
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[cfg(test)]
mod tests;
