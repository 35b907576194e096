//! Request latency, measured from the moment at which a request was due. A client that is kept
//! waiting does not ask less often.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::failure::Outcome;
use crate::http1::{Http1, Request};
use crate::meter::Measured;
use crate::priority;
use crate::quantity::Quantity;
use crate::target::{Reads, Target};

/// Probes with their own connections and threads, so that they do not measure the queue of the
/// load. Dropping the value stops them.
pub struct Probes {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Outcome<Vec<Duration>>>>,
}

impl Probes {
    /// Sends `request` every `interval` on each connection, in turn.
    pub fn start(target: &Target, request: &Request, connections: u32, interval: Duration) -> Probes {
        let stop = Arc::new(AtomicBool::new(false));
        let begin = Instant::now() + interval;
        let threads = (0..connections)
            .map(|number| {
                let (target, request, stop) = (target.clone(), request.clone(), Arc::clone(&stop));
                let first = begin + interval * number / connections;
                thread::spawn(move || probe(&target, &request, first, interval, &stop))
            })
            .collect();
        Probes { stop, threads }
    }

    /// Stops the probes and returns all latencies.
    pub fn finish(mut self) -> Outcome<Measured> {
        self.stop.store(true, Ordering::Relaxed);
        let mut times = Vec::new();
        for thread in self.threads.drain(..) {
            times.extend(thread.join().map_err(|_| "a probe panicked")??);
        }
        times.sort_unstable();
        let at = |share: f64| -> Outcome<f64> {
            let index = ((times.len() as f64 * share).ceil() as usize).saturating_sub(1);
            Ok(times.get(index).ok_or("no probe was answered in time")?.as_secs_f64())
        };
        Ok(vec![(Quantity::Median, at(0.5)?), (Quantity::P99, at(0.99)?)])
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn probe(
    target: &Target,
    request: &Request,
    first: Instant,
    interval: Duration,
    stop: &AtomicBool,
) -> Outcome<Vec<Duration>> {
    priority::raise();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut client = runtime.block_on(Http1::connect(target, Reads::Small))?;
    // Connect first, because the handshake is not measured.
    runtime.block_on(client.expect(request, 200))?;
    let mut times = Vec::new();
    let mut due = first;
    loop {
        // The runtime's timer has whole milliseconds; the thread's is finer.
        thread::sleep(due.saturating_duration_since(Instant::now()));
        runtime.block_on(client.expect(request, 200))?;
        times.push(due.elapsed());
        due += interval;
        if stop.load(Ordering::Relaxed) {
            return Ok(times);
        }
    }
}
