//! What is counted.
//!
//! Each worker thread counts in its own [`Counts`], so that no two threads write to one cache line.
//! A scrape adds them up. The label sets are closed: no client can add a series.

mod cell;
mod counts;
mod histogram;
mod label;
mod process;
mod repositories;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use cell::{Count, Counters};
pub(crate) use counts::{Counts, OPERATIONS, OfOperation};
pub(crate) use histogram::{Histogram, Observed};
pub(crate) use label::{
    Action, Asked, Direction, Grant, HandshakeFault, Label, Login, LoginResult, Refused, ReloadCause, Side,
    TlsSession, code,
};
pub(crate) use process::Process;
pub(crate) use repositories::{Amounts, Repositories, RepositoryCounts};

/// The counts of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    /// Those of the workers, then that of the main thread.
    workers: Box<[Arc<Counts>]>,
    /// Accepted connections by the address of the listener.
    accepted: Mutex<Vec<(String, Arc<Count>)>>,
}

impl Metrics {
    /// The counts of `workers` workers and of the main thread.
    pub(crate) fn new(workers: usize) -> Self {
        let workers = (0..=workers).map(|number| Arc::new(Counts::new(number))).collect();
        Self { workers, accepted: Mutex::default() }
    }

    /// The counts of worker `number`, for its thread alone to write.
    pub(crate) fn of_worker(&self, number: usize) -> Arc<Counts> {
        self.workers.get(number).cloned().unwrap_or_default()
    }

    /// The counts of the main thread, for it alone to write.
    pub(crate) fn of_main_thread(&self) -> &Counts {
        &self.workers[self.workers.len() - 1]
    }

    /// The counts of all threads.
    pub(crate) fn workers(&self) -> &[Arc<Counts>] {
        &self.workers
    }

    /// The sum of one count of all workers.
    pub(crate) fn sum(&self, count: impl Fn(&Counts) -> u64) -> u64 {
        self.workers.iter().map(|worker| count(worker)).fold(0, u64::wrapping_add)
    }

    /// The counter of the connections that a listener accepts.
    pub(crate) fn listener(&self, address: String) -> Arc<Count> {
        let counter = Arc::default();
        self.accepted().push((address, Arc::clone(&counter)));
        counter
    }

    /// The listeners by address, with the connections that each has accepted.
    pub(crate) fn accepted(&self) -> MutexGuard<'_, Vec<(String, Arc<Count>)>> {
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
