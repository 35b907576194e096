//! The worker threads: their start, the choice among them, and their ends.

use std::future::pending;
use std::io;
use std::mem;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::accepted::Accepted;
use super::load::{Load, OpenConnection};
use super::phase::Phase;
use super::report::{Heard, Question};

/// A worker's runtime looks for new events after so many polls of tasks. With tokio's default of
/// 61, a manifest would wait for 61 turns of a transfer.
const EVENT_INTERVAL: u32 = 4;

/// All worker threads. The owner decides when they end; a [`WorkersView`] cannot keep them alive.
pub(crate) struct Workers {
    view: WorkersView,
    phase: watch::Sender<Phase>,
    threads: Vec<JoinHandle<()>>,
    ends: mpsc::UnboundedReceiver<Result<(), WorkerFailure>>,
    /// Threads that have not reported their end.
    running: usize,
    /// The first failure among the ends.
    failure: Option<WorkerFailure>,
}

/// What a worker thread works with.
pub(super) struct Inbox {
    /// The number of the worker, from 0.
    pub(super) number: usize,
    pub(super) handovers: mpsc::UnboundedReceiver<Handover>,
    pub(super) questions: mpsc::UnboundedReceiver<Question>,
    pub(super) load: Arc<Load>,
    pub(super) phase: watch::Receiver<Phase>,
}

/// A connection on its way to its worker, and in the worker's count already.
#[derive(Debug)]
pub(super) struct Handover {
    pub(super) accepted: Accepted,
    pub(super) open: OpenConnection,
}

/// A worker thread that ended before it was asked to.
#[derive(Debug, thiserror::Error)]
#[error("worker thread {thread} {cause}")]
pub(crate) struct WorkerFailure {
    thread: String,
    cause: FailureCause,
}

/// How a worker thread failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum FailureCause {
    #[error("panicked")]
    Panicked,
    #[error("ended")]
    Ended,
    #[error("lost its task for {0}")]
    LostTask(&'static str),
    #[error("could not set the case of field names: {0}")]
    FieldNames(io::Error),
}

impl Workers {
    /// Starts `count` threads that run `work`, and waits until they are ready.
    pub(super) fn start<F>(
        count: usize,
        work: impl Fn(Inbox) -> F + Clone + Send + 'static,
    ) -> io::Result<Self>
    where
        F: Future<Output = Result<(), FailureCause>>,
    {
        let (phase, phases) = watch::channel(Phase::Running);
        let (reports, ends) = mpsc::unbounded_channel();
        let (mut seats, mut threads) = (Vec::new(), Vec::new());
        for number in 0..count {
            let (queue, handovers) = mpsc::unbounded_channel();
            let (ask, questions) = mpsc::unbounded_channel();
            let load = Arc::new(Load::default());
            let inbox = Inbox { number, handovers, questions, load: load.clone(), phase: phases.clone() };
            let thread = format!("tidegate-{number}");
            threads.push(start_thread(thread.clone(), reports.clone(), inbox, work.clone())?);
            seats.push(Seat { thread, queue, ask, load });
        }
        let view = WorkersView(seats.into());
        Ok(Self { view, phase, threads, ends, running: count, failure: None })
    }

    /// A view that can be kept for as long as it is of use.
    pub(crate) fn view(&self) -> WorkersView {
        self.view.clone()
    }

    /// Tells the workers that the process has entered `phase`.
    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits until a worker fails. May be dropped and called again.
    pub(crate) async fn failed(&mut self) -> WorkerFailure {
        loop {
            match self.ends.recv().await {
                Some(end) => {
                    self.running -= 1;
                    if let Err(failure) = end {
                        return failure;
                    }
                }
                None => pending().await,
            }
        }
    }

    /// Waits until all workers have ended, which they do from [`Phase::Closing`] on as soon as
    /// their connections are closed. May be dropped and called again.
    ///
    /// # Errors
    /// The first failure of a worker, after all have ended.
    pub(super) async fn join(&mut self) -> Result<(), WorkerFailure> {
        while self.running > 0
            && let Some(end) = self.ends.recv().await
        {
            self.running -= 1;
            if let Err(failure) = end {
                tracing::error!("{failure}");
                self.failure.get_or_insert(failure);
            }
        }
        for thread in self.threads.drain(..) {
            // It has reported its end, so this takes no time; a panic is in the report.
            _ = thread.join();
        }
        self.failure.take().map_or(Ok(()), Err)
    }
}

/// What the rest of the process sees of the workers. It may outlive them.
#[derive(Clone)]
pub(crate) struct WorkersView(Arc<[Seat]>);

struct Seat {
    thread: String,
    queue: mpsc::UnboundedSender<Handover>,
    ask: mpsc::UnboundedSender<Question>,
    load: Arc<Load>,
}

impl WorkersView {
    /// Open connections.
    pub(super) fn connections(&self) -> usize {
        self.0.iter().map(|seat| seat.load.connections()).sum()
    }

    /// Running requests.
    pub(crate) fn requests(&self) -> usize {
        self.0.iter().map(|seat| seat.load.requests()).sum()
    }

    /// Requests since the start of the process.
    pub(crate) fn total_requests(&self) -> usize {
        self.0.iter().map(|seat| seat.load.total_requests()).sum()
    }

    /// Asks every worker for its report. Returns the name of each thread and what it answered
    /// within `patience`. A worker that is stuck keeps the question until it is not.
    pub(super) async fn ask(&self, patience: Duration) -> Vec<(String, Heard)> {
        let deadline = Instant::now() + patience;
        let asked = self.0.iter().map(|seat| {
            let (question, answer) = oneshot::channel();
            _ = seat.ask.send(question);
            (seat.thread.clone(), answer)
        });
        let mut heard = Vec::new();
        // Collected first: all are asked before the first answer is awaited.
        for (thread, answer) in asked.collect::<Vec<_>>() {
            let answer = match timeout_at(deadline, answer).await {
                Ok(Ok(report)) => Heard::Report(report),
                Ok(Err(_)) => Heard::Ended,
                Err(_elapsed) => Heard::Nothing,
            };
            heard.push((thread, answer));
        }
        heard
    }

    /// Gives a connection to the worker with the fewest requests. Workers that have ended are left
    /// out; without any other, the connection is closed.
    pub(super) fn hand_over(&self, mut accepted: Accepted) {
        let load = |seat: &&Seat| (seat.load.requests(), seat.load.connections());
        while let Some(seat) = self.0.iter().filter(|seat| !seat.queue.is_closed()).min_by_key(load) {
            let open = OpenConnection::new(&seat.load);
            match seat.queue.send(Handover { accepted, open }) {
                Ok(()) => return,
                Err(returned) => accepted = returned.0.accepted,
            }
        }
        tracing::warn!(peer = %accepted.peer, "no worker is left for a connection");
    }
}

/// Starts one worker thread, and waits until its runtime is there.
fn start_thread<F>(
    name: String,
    reports: mpsc::UnboundedSender<Result<(), WorkerFailure>>,
    inbox: Inbox,
    work: impl Fn(Inbox) -> F + Send + 'static,
) -> io::Result<JoinHandle<()>>
where
    F: Future<Output = Result<(), FailureCause>>,
{
    let (ready, started) = std::sync::mpsc::sync_channel(1);
    let thread = std::thread::Builder::new().name(name.clone()).spawn(move || {
        let mut report = Report { thread: name, reports, end: Err(FailureCause::Panicked) };
        let mut runtime = Builder::new_current_thread();
        let runtime = runtime.event_interval(EVENT_INTERVAL).enable_all();
        let runtime = match runtime.build_local(LocalOptions::default()) {
            Ok(runtime) => runtime,
            Err(error) => {
                _ = ready.send(Err(error));
                return;
            }
        };
        _ = ready.send(Ok(()));
        let phase = inbox.phase.clone();
        let runtime = WorkerRuntime(Some(runtime));
        let end = runtime.block_on(work(inbox));
        let was_asked = *phase.borrow() >= Phase::Closing;
        report.end = match end {
            Ok(()) if !was_asked => Err(FailureCause::Ended),
            end => end,
        };
    })?;
    started.recv().map_err(io::Error::other)??;
    Ok(thread)
}

/// A runtime whose drop closes its tasks, but does not wait for blocking ones. An abandoned name
/// lookup could otherwise delay the report until the resolver gives up.
struct WorkerRuntime(Option<LocalRuntime>);

impl WorkerRuntime {
    fn block_on<F: Future<Output = Result<(), FailureCause>>>(&self, work: F) -> F::Output {
        self.0.as_ref().map_or(Err(FailureCause::Ended), |runtime| runtime.block_on(work))
    }
}

impl Drop for WorkerRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Reports how a worker thread ended, as the last thing it does, also when it panics.
struct Report {
    thread: String,
    reports: mpsc::UnboundedSender<Result<(), WorkerFailure>>,
    end: Result<(), FailureCause>,
}

impl Drop for Report {
    fn drop(&mut self) {
        let end = mem::replace(&mut self.end, Ok(()));
        let thread = mem::take(&mut self.thread);
        _ = self.reports.send(end.map_err(|cause| WorkerFailure { thread, cause }));
    }
}

#[cfg(test)]
mod tests;
