//! Keeps the keys that an issuer publishes, and decides when they are fetched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::discovery::{Discovery, NoKeys};
use super::key_set::KeySet;

/// How often keys are fetched behind the traffic.
const EVERY: Duration = Duration::from_mins(10);
/// The same after a failure.
const AGAIN: Duration = Duration::from_mins(1);
/// The time between two fetches at the least: anybody can name keys that nobody has.
const APART: Duration = Duration::from_secs(30);
/// How long a request waits for a fetch.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long keys are used without a fetch that succeeds.
const LIFE: Duration = Duration::from_hours(24);
/// How often a failure is logged.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// The keys of one issuer. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keeper {
    /// The name in the settings.
    issuer: Arc<str>,
    discovery: Discovery,
    kept: Arc<Kept>,
}

/// The keys are not known, or whether those that are known are the current ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unknown;

/// What outlives a reload.
struct Kept {
    state: Mutex<State>,
    /// Told at the end of each fetch.
    ended: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    keys: Option<Known>,
    /// The beginning of the last fetch.
    begun: Option<Instant>,
    is_fetching: bool,
    has_failed: bool,
    /// The last failure that was logged.
    warned: Option<Instant>,
}

struct Known {
    set: Arc<KeySet>,
    text: Bytes,
    since: Instant,
}

/// The only fetch that runs. One that is dropped has failed.
struct Fetch(Keeper);

impl Keeper {
    pub(super) fn new(issuer: &str, discovery: Discovery) -> Self {
        let kept = Kept { state: Mutex::default(), ended: watch::Sender::new(()) };
        Self { issuer: issuer.into(), discovery, kept: Arc::new(kept) }
    }

    /// Takes over what `other` knows. The caller knows that both are for the same issuer.
    pub(super) fn take_over(&mut self, other: &Self) {
        self.kept = Arc::clone(&other.kept);
    }

    /// The keys, if they are known and not too old.
    pub(super) fn keys(&self) -> Option<Arc<KeySet>> {
        let state = self.state();
        state.keys.as_ref().filter(|known| known.since.elapsed() < LIFE).map(|known| Arc::clone(&known.set))
    }

    /// The keys after a fetch that has ended a short time ago, or is waited for.
    ///
    /// # Errors
    /// The fetch has failed, or takes too long.
    pub(super) async fn fresh_keys(&self) -> Result<Arc<KeySet>, Unknown> {
        // Before the look at the state, so that no end is missed.
        let mut ended = self.kept.ended.subscribe();
        if let Some(fetch) = self.begin() {
            tokio::spawn(fetch.run());
        }
        if self.state().is_fetching && timeout(PATIENCE, ended.changed()).await.is_err() {
            return Err(Unknown);
        }
        if self.state().has_failed { Err(Unknown) } else { self.keys().ok_or(Unknown) }
    }

    /// Fetches at intervals.
    pub(super) async fn keep(self) {
        loop {
            let mut ended = self.kept.ended.subscribe();
            let (is_fetching, due) = {
                let state = self.state();
                let interval = if state.has_failed { AGAIN } else { EVERY };
                (state.is_fetching, state.begun.map(|begun| begun + interval))
            };
            if is_fetching {
                _ = ended.changed().await;
            } else if let Some(due) = due.filter(|due| Instant::now() < *due) {
                // Somebody else may fetch meanwhile.
                sleep_until(due).await;
            } else if let Some(fetch) = self.begin() {
                fetch.run().await;
            }
        }
    }

    /// How many keys the issuer has, asked now. The keys in use are not touched.
    pub(super) async fn probe(&self) -> Result<usize, NoKeys> {
        self.discovery.fetch().await.map(|(keys, _)| keys.len())
    }

    /// The right to fetch, if nobody has it and the last fetch began long enough ago.
    fn begin(&self) -> Option<Fetch> {
        let mut state = self.state();
        if state.is_fetching || state.begun.is_some_and(|begun| begun.elapsed() < APART) {
            return None;
        }
        state.is_fetching = true;
        state.begun = Some(Instant::now());
        Some(Fetch(self.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.kept.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Fetch {
    async fn run(self) {
        let fetched = self.0.discovery.fetch().await;
        let (mut state, now) = (self.0.state(), Instant::now());
        state.is_fetching = false;
        state.has_failed = fetched.is_err();
        match fetched {
            Ok((set, text)) => {
                // The same keys stay the same, and so do the tokens that they have verified.
                let known = state.keys.take().filter(|known| known.text == text);
                let set = known.map_or_else(|| Arc::new(set), |known| known.set);
                state.keys = Some(Known { set, text, since: now });
            }
            Err(error) if state.warned.is_none_or(|at| now.duration_since(at) >= WARN_EVERY) => {
                state.warned = Some(now);
                tracing::warn!(issuer = &*self.0.issuer, %error, "the keys of the issuer cannot be fetched");
            }
            Err(_) => {}
        }
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        let mut state = self.0.state();
        if state.is_fetching {
            state.is_fetching = false;
            state.has_failed = true;
        }
        drop(state);
        self.0.kept.ended.send_replace(());
    }
}
