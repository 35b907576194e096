//! One user who has signed in, alone and beside strangers who try wrong passwords: how long his requests
//! take at a fixed rate, and how many he can make.

use std::time::Duration;

use tokio::task::JoinSet;

use super::{Stage, gets};
use crate::failure::Outcome;
use crate::http1::{Http1, Request};
use crate::meter::Measured;
use crate::probe::Probes;
use crate::target::{Reads, Target};

/// His connections; each asks once in [`EVERY`], which is 50 requests a second in all.
const CONNECTIONS: u32 = 4;
const EVERY: Duration = Duration::from_millis(80);

pub async fn run(stage: &Stage<'_>, strangers: usize) -> Outcome<Measured> {
    let target = &stage.front.target;
    // They go on until the set is dropped.
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
        Some(ended) => Err(format!("a stranger was not refused: {:?}", ended?).into()),
        None => Ok(measured),
    }
}

/// Wrong passwords, each another one, until one is not refused as it should be.
async fn guess(target: Target, number: usize) -> Outcome<()> {
    let mut client = Http1::connect(&target, Reads::Small).await?;
    for attempt in 0_u64.. {
        let target = target.stranger(&format!("guess {number} {attempt}"));
        let answer = client.send(&Request::new("GET", "/v2/", &target)).await?;
        // 429 and 503 are what a proxy says that limits guessing.
        if !matches!(answer.status, 401 | 429 | 503) {
            return Err(format!("a wrong password is answered {}", answer.status).into());
        }
        if answer.closes {
            client = Http1::connect(&target, Reads::Small).await?;
        }
    }
    Ok(())
}
