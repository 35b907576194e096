//! Replicas that share their state in a Redis.

mod acme;
mod revocations;
mod secrets;
mod standing;
mod tags;
mod throttle;

use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::admin::{self, Answer, wait_for};
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Settings, Tidegate};

/// The time after which an engine that is back must be used: a second, and as much again because
/// the machine may be busy.
const SOON: Duration = Duration::from_secs(2);

fn settings(upstream: &str, engine: &Redis) -> Settings {
    engine.shared_by(admin::settings(upstream))
}

fn is_used(answer: &Answer) -> bool {
    answer.json()["checks"]["shared"] == "ok"
}

fn wait_until_used(tidegate: &Tidegate) -> Duration {
    wait_for(tidegate, "GET /readyz", is_used)
}

fn says(words: &'static str) -> impl Fn(&Answer) -> bool {
    move |answer| answer.json()["checks"]["shared"].as_str().unwrap().contains(words)
}

/// Tries again until the outcome is as wanted, and returns it.
fn until<T>(mut attempt: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let start = Instant::now();
    loop {
        let outcome = attempt();
        if wanted(&outcome) {
            return outcome;
        }
        assert!(start.elapsed() < DEADLINE, "tried too long");
        // There is no event to wait for: clients try again, too.
        std::thread::sleep(Duration::from_millis(50));
    }
}
