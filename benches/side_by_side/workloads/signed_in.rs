//! One user who has signed in, alone and beside strangers who try wrong passwords: the latency of
//! the user's requests at a fixed rate, and the most requests per second.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{Stage, gets};
use crate::failure::Outcome;
use crate::http1::{Http1, Request};
use crate::meter::Measured;
use crate::probe::Probes;
use crate::target::{Reads, Target};

/// The user's connections. Each sends a request every [`EVERY`], which is 50 requests a second in
/// all.
const CONNECTIONS: u32 = 4;
const EVERY: Duration = Duration::from_millis(80);

pub async fn run(stage: &Stage<'_>, strangers: usize) -> Outcome<Measured> {
    let target = &stage.front.target;
    // The strangers go on until the set is dropped.
    let mut guesses = JoinSet::new();
    for number in 0..strangers {
        guesses.spawn(guess(target.clone(), number));
    }
    let request = Request::new("GET", "/v2/bench/manifests/latest", target);
    let probes = Probes::start(target, &request, CONNECTIONS, EVERY);
    tokio::time::sleep(stage.scale.time).await;
    let mut measured = probes.finish()?;
    measured.extend(gets::manifests(stage, CONNECTIONS as usize).await?);
    match guesses.try_join_next() {
        Some(ended) => Err(format!("a guessing client was not refused: {:?}", ended?).into()),
        None => Ok(measured),
    }
}

/// Tries a different wrong password each time, until an answer is not the expected refusal.
async fn guess(target: Target, number: usize) -> Outcome<()> {
    let mut client = Http1::connect(&target, Reads::Small).await?;
    for attempt in 0_u64.. {
        let target = target.stranger(&format!("guess {number} {attempt}"));
        let answer = client.send(&Request::new("GET", "/v2/", &target)).await?;
        // Proxies answer 429 or 503 when they limit guessing.
        if !matches!(answer.status, 401 | 429 | 503) {
            return Err(format!("a wrong password was answered with {}", answer.status).into());
        }
        if answer.closes {
            client = Http1::connect(&target, Reads::Small).await?;
        }
    }
    Ok(())
}
