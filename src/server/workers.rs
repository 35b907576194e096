//! The cores: a thread with a single-threaded runtime each, and the choice among them.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_local};
use tokio::time::interval;

use super::connection;
use super::listener::Place;
use crate::body::FairQueue;
use crate::gate::Gate;
use crate::state::Shared;
use crate::upstream::Upstream;

/// How often idle connections to the registry are looked at.
const SWEEP: Duration = Duration::from_secs(5);

/// A core looks for new events after so many tasks that had something to do. tokio's 61 are 61 turns of a transfer, and a
/// manifest would wait for them.
const EVENTS: u32 = 4;

/// How far the process is on its way to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Not at all.
    Running,
    /// Connections end with the request they have; new ones still come in for what belongs to a running transfer.
    Draining,
    /// All connections end with the request they have.
    Closing,
    /// All connections end.
    Cutting,
}

/// All worker threads.
pub(crate) struct Workers(Vec<Worker>);

struct Worker {
    queue: mpsc::UnboundedSender<Handover>,
    load: Arc<Load>,
    thread: JoinHandle<()>,
}

/// What a core has to do at the moment.
#[derive(Default)]
pub(super) struct Load {
    connections: AtomicUsize,
    requests: AtomicUsize,
    /// Requests since the start.
    begun: AtomicUsize,
}

/// A connection on its way to its core.
pub(super) struct Handover {
    socket: std::net::TcpStream,
    peer: IpAddr,
    place: Place,
}

impl Workers {
    /// Starts `count` threads and waits until they are ready.
    pub(crate) fn start(
        count: usize,
        shared: &Arc<Shared>,
        phase: &watch::Receiver<Phase>,
    ) -> io::Result<Self> {
        let start = |number| {
            let (queue, handovers) = mpsc::unbounded_channel();
            let (ready, started) = std::sync::mpsc::sync_channel(1);
            let load = Arc::new(Load::default());
            let (shared, phase, of_core) = (shared.clone(), phase.clone(), load.clone());
            let thread = std::thread::Builder::new().name(format!("tidegate-{number}")).spawn(move || {
                match Builder::new_current_thread()
                    .event_interval(EVENTS)
                    .enable_all()
                    .build_local(LocalOptions::default())
                {
                    Ok(runtime) => {
                        _ = ready.send(Ok(()));
                        runtime.block_on(run(handovers, shared, phase, of_core));
                    }
                    Err(error) => _ = ready.send(Err(error)),
                }
            })?;
            started.recv().map_err(io::Error::other)??;
            Ok(Worker { queue, load, thread })
        };
        (0..count).map(start).collect::<io::Result<_>>().map(Self)
    }

    /// Requests under way.
    pub(crate) fn requests(&self) -> usize {
        self.0.iter().map(|worker| worker.load.requests.load(Ordering::Relaxed)).sum()
    }

    /// Requests since the start.
    pub(crate) fn begun(&self) -> usize {
        self.0.iter().map(|worker| worker.load.begun.load(Ordering::Relaxed)).sum()
    }

    /// Gives them no more connections and waits, blocking, until all they have are gone.
    pub(crate) fn join(self) {
        for worker in self.0 {
            drop(worker.queue);
            if worker.thread.join().is_err() {
                tracing::error!("a worker thread has panicked");
            }
        }
    }

    /// Gives a connection to the core with the least to do.
    pub(super) fn hand_over(&self, socket: TcpStream, peer: IpAddr, place: Place) {
        let socket = match socket.into_std() {
            Ok(socket) => socket,
            Err(error) => return tracing::warn!(%error, "lost a connection"),
        };
        let load = |worker: &&Worker| {
            let load = &worker.load;
            (load.requests.load(Ordering::Relaxed), load.connections.load(Ordering::Relaxed))
        };
        if let Some(worker) = self.0.iter().min_by_key(load) {
            worker.load.connections.fetch_add(1, Ordering::Relaxed);
            _ = worker.queue.send(Handover { socket, peer, place });
        }
    }
}

/// One request in the count of its core.
pub(super) struct Counted(Arc<Load>);

impl Counted {
    pub(super) fn new(load: &Arc<Load>) -> Self {
        load.requests.fetch_add(1, Ordering::Relaxed);
        load.begun.fetch_add(1, Ordering::Relaxed);
        Self(load.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the connections of one core share.
pub(super) struct Core {
    pub(super) gate: Rc<Gate>,
    pub(super) turns: Rc<FairQueue>,
    pub(super) load: Arc<Load>,
    pub(super) phase: watch::Receiver<Phase>,
}

/// The life of a worker thread: until its queue is closed and its last connection is gone.
async fn run(
    mut handovers: mpsc::UnboundedReceiver<Handover>,
    shared: Arc<Shared>,
    phase: watch::Receiver<Phase>,
    load: Arc<Load>,
) {
    let upstream = Rc::new(Upstream::default());
    let gate = Rc::new(Gate { shared, upstream: upstream.clone() });
    let turns = Rc::new(FairQueue::default());
    let core = Rc::new(Core { gate, turns: turns.clone(), load, phase });
    let giver = spawn_local(async move { turns.give().await });
    let sweeper = spawn_local(async move {
        let mut ticks = interval(SWEEP);
        loop {
            ticks.tick().await;
            upstream.sweep();
        }
    });
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            handover = handovers.recv() => match handover {
                Some(handover) => _ = connections.spawn_local(serve(core.clone(), handover)),
                None => break,
            },
            Some(ended) = connections.join_next() => report(ended),
        }
    }
    while let Some(ended) = connections.join_next().await {
        report(ended);
    }
    sweeper.abort();
    giver.abort();
}

async fn serve(core: Rc<Core>, handover: Handover) {
    let _open = Open(core.load.clone());
    let _place = handover.place;
    connection::serve(&core, handover.socket, handover.peer).await;
}

/// One connection in the count of its core.
struct Open(Arc<Load>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A panic ends one connection and not all.
fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection has panicked");
    }
}
