//! The threads that compute hashes, at low priority, with a bounded queue.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// How much the threads raise their niceness (nice(2)).
const NICER: i32 = 10;

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The queue has no room for the job.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

/// Threads that run jobs in order of arrival. They end when the pool is dropped and the queue is
/// empty.
pub(super) struct Pool {
    queue: SyncSender<Job>,
}

impl Pool {
    /// Starts at least one thread. At most `queue` jobs wait; with 0, only an idle thread accepts a
    /// job.
    pub(super) fn start(threads: usize, queue: usize) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..threads.max(1) {
            let receiver = Arc::clone(&receiver);
            thread::Builder::new().name("tidegate-hash".into()).spawn(move || work(&receiver))?;
        }
        Ok(Self { queue: sender })
    }

    /// Never blocks. Drops the job if there is no room for it.
    pub(super) fn submit(&self, job: Job) -> Result<(), Full> {
        self.queue.try_send(job).map_err(|_| Full)
    }
}

fn work(jobs: &Mutex<Receiver<Job>>) {
    step_back();
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = next else { return };
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a password check panicked; the client is told to try again");
        }
    }
}

/// Lowers the priority of this thread, which is per thread on Linux. A failure costs speed only.
fn step_back() {
    let thread = Some(rustix::thread::gettid());
    let current = rustix::process::getpriority_process(thread).unwrap_or(0);
    if let Err(error) = rustix::process::setpriority_process(thread, (current + NICER).min(19)) {
        tracing::debug!(%error, "the priority of a hashing thread cannot be lowered");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn runs_at_low_priority_under_its_name() {
        let pool = Pool::start(1, 1).unwrap();
        let (sender, receiver) = mpsc::channel();
        pool.submit(Box::new(move || {
            let nice = rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
            sender.send((thread::current().name().map(str::to_owned), nice)).unwrap();
        }))
        .unwrap();
        let own = rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        assert_eq!(receiver.recv().unwrap(), (Some("tidegate-hash".to_owned()), (own + NICER).min(19)));
    }

    #[test]
    fn survives_a_panic() {
        let pool = Pool::start(1, 2).unwrap();
        let (sender, receiver) = mpsc::channel();
        pool.submit(Box::new(|| panic!("on purpose"))).unwrap();
        pool.submit(Box::new(move || sender.send(7).unwrap())).unwrap();
        assert_eq!(receiver.recv().unwrap(), 7);
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let pool = Pool::start(1, 1).unwrap();
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        pool.submit(Box::new(move || {
            started.send(()).unwrap();
            let _ = released.recv();
        }))
        .unwrap();
        has_started.recv().unwrap();
        pool.submit(Box::new(|| ())).unwrap();
        assert_eq!(pool.submit(Box::new(|| ())), Err(Full));
        drop(release);
    }
}
