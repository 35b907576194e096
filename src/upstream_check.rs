//! Asks the registry at intervals whether it is healthy.

use std::sync::Arc;
use std::time::Duration;

use tokio::join;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::ping;
use crate::state::{Shared, State};
use crate::upstream::{UpstreamFault, addresses};

/// The time between two checks of a registry that is healthy.
const EVERY: Duration = Duration::from_secs(5);
/// The same for one that is not. Also how soon another registry in the settings is noticed.
const TICK: Duration = Duration::from_secs(1);
/// The longest wait for an answer. A busy registry is slow without being down.
const PATIENCE: Duration = Duration::from_secs(5);
/// Checks at once. While a registry does not answer at all, each waits for [`PATIENCE`], and the
/// first that is answered counts.
const AT_ONCE: usize = 5;

/// One check that has ended.
struct Checked {
    /// Counted from the start.
    number: u64,
    name: String,
    outcome: Result<(), UpstreamFault>,
    addresses: Option<u64>,
}

/// Keeps `shared.upstream` up to date until it is dropped. Requires a runtime for local tasks.
pub(crate) async fn keep_checking(shared: Arc<Shared>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut running = JoinSet::new();
    let (mut begun, mut number, mut newest) = (None::<Instant>, 0, 0);
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                let state = shared.state().clone();
                let is_up = shared.upstream.latest()
                    .is_some_and(|known| known.up && known.name == state.destination.name);
                let is_due = begun.is_none_or(|begun| !is_up || begun.elapsed() >= EVERY);
                if is_due && running.len() < AT_ONCE {
                    number += 1;
                    begun = Some(Instant::now());
                    running.spawn_local(check(state, number));
                }
            }
            Some(Ok(checked)) = running.join_next() => {
                let Checked { number, name, outcome, addresses } = checked;
                shared.upstream.count(outcome.is_ok());
                // An older check knows less than a newer one that has ended before it.
                if number > newest {
                    newest = number;
                    if let Some(addresses) = addresses {
                        shared.upstream.found(addresses);
                    }
                    record(&shared, &name, outcome.err());
                }
            }
        }
    }
}

async fn check(state: Arc<State>, number: u64) -> Checked {
    // Side by side: a slow look-up must not delay the verdict.
    let question = ping::question(&state, PATIENCE);
    let (outcome, addresses) = join!(question, timeout(PATIENCE, addresses(&state.destination.server)));
    let outcome = outcome.map(drop);
    let addresses = addresses.ok().and_then(Result::ok);
    Checked { number, name: state.destination.name.clone(), outcome, addresses }
}

/// Records a result, and logs it if it is another one.
fn record(shared: &Shared, name: &str, fault: Option<UpstreamFault>) {
    let why = fault.as_ref().map(|fault| fault.detail.clone());
    let is_first = shared.upstream.latest().is_none();
    let before = shared.upstream.record(name, fault);
    match why {
        Some(why) if is_first || before.is_some() => tracing::warn!("the registry {name} is down: {why}"),
        None if before.is_some() => tracing::info!("the registry {name} is up"),
        _ => {}
    }
}
