//! Registries that are killed at random moments, again and again: no request is sent twice but
//! where that is safe, no answer is silently short, and none is awaited forever.
//!
//! `KILLS` sets how many kills there are, `SEED` repeats a run.

mod clients;
mod ledger;
mod random;
mod registry;

use std::env;
use std::sync::Arc;
use std::time::Instant;

use clients::Clients;
use ledger::Ledger;
use registry::Killable;

use crate::harness::tidegate::{Settings, Tidegate};

/// The kills of a test, unless more are wanted.
const KILLS: usize = 5000;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

fn kill_and_count(servers: usize) {
    let seed = number("SEED").unwrap_or_else(|| {
        let mut bytes = [0; 8];
        aws_lc_rs::rand::fill(&mut bytes).unwrap();
        u64::from_le_bytes(bytes)
    });
    eprintln!("to repeat this: SEED={seed}");
    let kills = number("KILLS").map_or(KILLS, |kills| kills as usize);
    let ledger = Arc::new(Ledger::default());
    let registries: Vec<_> =
        (0..servers as u64).map(|server| Killable::start(&ledger, seed.wrapping_add(server))).collect();
    let urls: Vec<_> = registries.iter().map(Killable::url).collect();
    let mut settings = Settings::for_upstream(&registries[0].url())
        .set("server.threads", "2")
        .set("upstream.servers", &format!("{urls:?}"));
    if servers > 1 {
        settings = settings.set("upstream.shared_storage", "true").set("upstream.health_every", r#""1s""#);
    }
    let tidegate = Tidegate::start(settings);
    let start = Instant::now();
    let outcomes = Clients { tidegate: &tidegate, ledger: &ledger, seed, kills }.run();
    let time = start.elapsed();
    let sightings = ledger.assert_no_request_was_sent_twice();
    eprintln!(
        "{} kills at {servers} servers in {time:.1?}: {:?}\n{outcomes:?}\n{sightings:?}",
        ledger.kills(),
        ledger.kinds()
    );
    outcomes.assert_all_were_met();
}

#[test]
fn a_registry_killed_at_random_moments_never_has_a_request_twice() {
    kill_and_count(1);
}

#[test]
fn two_registries_killed_at_random_moments_never_have_a_request_twice() {
    kill_and_count(2);
}
