//! The threads that compute hashes, at low priority, with a bounded queue.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use super::share::Share;
use crate::metrics::{Histogram, Observed};
use crate::network::Network;
use crate::turns::{Queued, Ticket, Turns};

/// How much the threads raise their niceness (nice(2)).
const NICER: i32 = 10;

/// Bounds of the time that a job takes, in milliseconds: bcrypt of cost 8 to 17.
const SECONDS: [u64; 10] = [10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000];

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Threads that run jobs, which are shared out by the networks that ask for them. They end when the
/// pool is dropped and the queue is empty.
pub(super) struct Pool(Arc<Jobs>);

struct Jobs {
    queue: Mutex<Queue>,
    /// A job has arrived, or the pool is dropped.
    changed: Condvar,
    /// How long jobs took.
    seconds: Mutex<Histogram<{ SECONDS.len() }>>,
    /// Most jobs that wait.
    most: usize,
}

struct Queue {
    turns: Turns<Share, Network, Job>,
    is_closed: bool,
}

impl Pool {
    /// Starts at least one thread. At most `most` jobs wait.
    pub(super) fn start(threads: usize, most: usize) -> io::Result<Self> {
        let queue = Queue { turns: Turns::new(most), is_closed: false };
        let seconds = Mutex::new(Histogram::new(&SECONDS));
        let jobs = Jobs { queue: Mutex::new(queue), changed: Condvar::new(), seconds, most };
        let pool = Self(Arc::new(jobs));
        for _ in 0..threads.max(1) {
            let jobs = Arc::clone(&pool.0);
            thread::Builder::new().name("tidegate-hash".into()).spawn(move || work(&jobs))?;
        }
        Ok(pool)
    }

    /// Queues a job for a network that had so many `failures` lately, without waiting. If the queue
    /// is full, the newest job of the network or group with the most jobs makes room.
    ///
    /// # Errors
    /// The job itself, if no network has more.
    pub(super) fn submit(&self, network: Network, failures: usize, job: Job) -> Result<Queued<Job>, Job> {
        let queued = self.0.queue().turns.push(Share::of(network, failures), network, job)?;
        self.0.changed.notify_one();
        Ok(queued)
    }

    /// Jobs that wait, and most that may.
    pub(super) fn queue(&self) -> (usize, usize) {
        (self.0.queue().turns.len(), self.0.most)
    }

    /// How long jobs took.
    pub(super) fn seconds(&self) -> Observed {
        Observed::of([&*self.0.seconds()].into_iter())
    }

    /// Removes a job that no thread has begun.
    pub(super) fn withdraw(&self, ticket: Ticket) -> Option<Job> {
        self.0.queue().turns.remove(ticket)
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.queue().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Jobs {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn seconds(&self) -> MutexGuard<'_, Histogram<{ SECONDS.len() }>> {
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next job; `None` once there will be none.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue();
        loop {
            match queue.turns.take() {
                Some(job) => return Some(job),
                None if queue.is_closed => return None,
                None => queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

fn work(jobs: &Jobs) {
    step_back();
    while let Some(job) = jobs.next() {
        let begun = Instant::now();
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a password check panicked; the client is told to try again");
        }
        jobs.seconds().observe(begun.elapsed());
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

    fn network(host: u8) -> Network {
        Network::of([192, 0, 2, host].into())
    }

    #[test]
    fn runs_at_low_priority_under_its_name() {
        let pool = Pool::start(1, 1).unwrap();
        let (sender, receiver) = mpsc::channel();
        let job = move || {
            let nice = rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
            sender.send((thread::current().name().map(str::to_owned), nice)).unwrap();
        };
        assert!(pool.submit(network(1), 0, Box::new(job)).is_ok());
        let own = rustix::process::getpriority_process(Some(rustix::thread::gettid())).unwrap();
        assert_eq!(receiver.recv().unwrap(), (Some("tidegate-hash".to_owned()), (own + NICER).min(19)));
    }

    #[test]
    fn survives_a_panic() {
        let pool = Pool::start(1, 2).unwrap();
        let (sender, receiver) = mpsc::channel();
        assert!(pool.submit(network(1), 0, Box::new(|| panic!("on purpose"))).is_ok());
        assert!(pool.submit(network(1), 0, Box::new(move || sender.send(7).unwrap())).is_ok());
        assert_eq!(receiver.recv().unwrap(), 7);
    }

    #[test]
    fn a_dropped_pool_finishes_what_waits() {
        let pool = Pool::start(1, 8).unwrap();
        let (sender, receiver) = mpsc::channel();
        for number in 0..8 {
            _ = pool.submit(network(1), 0, report(&sender, number));
        }
        drop((pool, sender));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    }

    /// Keeps the only thread busy until the returned end is dropped.
    fn block(pool: &Pool) -> mpsc::Sender<()> {
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let job = move || {
            started.send(()).unwrap();
            let _ = released.recv();
        };
        assert!(pool.submit(network(1), 0, Box::new(job)).is_ok());
        has_started.recv().unwrap();
        release
    }

    /// A job that sends its number.
    fn report<T: Send + 'static>(sender: &mpsc::Sender<T>, number: T) -> Job {
        let sender = sender.clone();
        Box::new(move || sender.send(number).unwrap())
    }

    #[test]
    fn a_new_network_is_next_beside_one_that_has_filled_the_queue() {
        let pool = Pool::start(1, 4).unwrap();
        let release = block(&pool);
        let (sender, receiver) = mpsc::channel();
        let job = |number: u8| report(&sender, number);
        for number in 0..4 {
            assert!(pool.submit(network(1), 0, job(number)).is_ok());
        }
        assert!(pool.submit(network(1), 0, job(4)).is_err());
        assert!(pool.submit(network(2), 0, job(100)).is_ok_and(|queued| queued.displaced.is_some()));
        drop((release, pool, sender));
        assert_eq!(receiver.iter().collect::<Vec<_>>(), [0, 100, 1, 2]);
    }

    #[test]
    fn the_many_networks_of_one_ipv6_site_keep_no_other_network_out() {
        let pool = Pool::start(1, 16).unwrap();
        let release = block(&pool);
        let (sender, receiver) = mpsc::channel();
        let job = |number: u16| report(&sender, number);
        let of_site = |number: u16| Network::of([0x2001, 0xdb8, 0, number, 0, 0, 0, 1].into());
        for number in 0..16 {
            assert!(pool.submit(of_site(number), 0, job(number)).is_ok());
        }
        assert!(pool.submit(of_site(16), 0, job(16)).is_err());
        assert!(pool.submit(network(2), 0, job(100)).is_ok_and(|queued| queued.displaced.is_some()));
        drop((release, pool, sender));
        assert_eq!(receiver.iter().position(|number| number == 100), Some(1));
    }

    #[test]
    fn many_networks_that_failed_keep_no_new_network_out() {
        let pool = Pool::start(1, 16).unwrap();
        let release = block(&pool);
        let (sender, receiver) = mpsc::channel();
        let job = |number: u8| report(&sender, number);
        for number in 0..16 {
            assert!(pool.submit(network(number), 4 + usize::from(number) % 4, job(number)).is_ok());
        }
        assert!(pool.submit(network(16), 4, job(16)).is_err());
        assert!(pool.submit(network(100), 0, job(100)).is_ok_and(|queued| queued.displaced.is_some()));
        assert!(pool.submit(network(101), 1, job(101)).is_ok(), "a password that was mistyped once");
        drop((release, pool, sender));
        let served: Vec<u8> = receiver.iter().collect();
        assert!(served[..4].contains(&100) && served[..4].contains(&101), "{served:?}");
    }

    #[test]
    fn a_full_queue_refuses_at_once() {
        let pool = Pool::start(1, 1).unwrap();
        let release = block(&pool);
        let queued = pool.submit(network(1), 0, Box::new(|| ())).ok().unwrap();
        assert!(pool.submit(network(1), 0, Box::new(|| ())).is_err());
        assert!(pool.withdraw(queued.ticket).is_some());
        assert!(pool.submit(network(1), 0, Box::new(|| ())).is_ok());
        drop(release);
    }
}
