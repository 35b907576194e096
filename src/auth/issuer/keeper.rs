//! Keeps the keys that an issuer publishes, and decides when they are fetched.

use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::discovery::{Discovery, NoKeys};
use super::key_set::KeySet;
use crate::auth::seldom::Seldom;

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
    /// Failures in the log.
    warnings: Seldom,
}

#[derive(Default)]
struct State {
    keys: Option<Known>,
    /// The beginning of the last fetch.
    begun: Option<Instant>,
    is_fetching: bool,
    has_failed: bool,
}

struct Known {
    set: Arc<KeySet>,
    since: Instant,
}

/// The only fetch that runs. One that is dropped has failed.
struct Fetch(Keeper);

impl Keeper {
    pub(super) fn new(issuer: &str, discovery: Discovery) -> Self {
        let kept =
            Kept { state: Mutex::default(), ended: watch::Sender::new(()), warnings: Seldom::default() };
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
        self.discovery.fetch().await.map(|keys| keys.len())
    }

    /// The right to fetch, if nobody has it and the last fetch began long enough ago.
    fn begin(&self) -> Option<Fetch> {
        let mut state = self.state();
        if state.is_fetching || state.begun.is_some_and(|begun| begun.elapsed() < apart()) {
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
            Ok(set) => state.keys = Some(Known { set: Arc::new(set), since: now }),
            Err(error) if self.0.kept.warnings.is_due() => {
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

/// [`APART`], or the seconds in `TIDEGATE_TEST_KEYS_APART`; those in debug builds only, for the
/// tests.
fn apart() -> Duration {
    let for_a_test = env::var("TIDEGATE_TEST_KEYS_APART").ok().filter(|_| cfg!(debug_assertions));
    for_a_test.and_then(|seconds| seconds.parse().ok()).map_or(APART, Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;
    use crate::https::HttpsClient;
    use crate::pki::SystemRoots;
    use crate::pki::fixtures::{Folder, ca_params};

    /// The key of RFC 7515, appendix A.3.
    const SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

    /// An issuer that cannot be reached.
    fn unreachable() -> Keeper {
        let folder = Folder::new();
        let root = ca_params("root").self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let ca = folder.write("ca.pem", root.pem());
        let client = HttpsClient::new(Some(&ca), "ca", &SystemRoots::default()).unwrap();
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        Keeper::new("gitlab", Discovery::new(client, &format!("https://127.0.0.1:{port}")))
    }

    fn know(keeper: &Keeper) {
        let set = Arc::new(KeySet::parse(SET.as_bytes()).unwrap());
        let now = Instant::now();
        let mut state = keeper.state();
        state.keys = Some(Known { set, since: now });
        state.begun = Some(now);
    }

    #[tokio::test(start_paused = true)]
    async fn one_fetch_runs_at_a_time_and_not_more_than_one_in_thirty_seconds() {
        let keeper = unreachable();
        let fetch = keeper.begin().unwrap();
        advance(APART * 2).await;
        assert!(keeper.begin().is_none(), "one is running");
        drop(fetch);
        let fetch = keeper.begin().unwrap();
        drop(fetch);
        for _ in 0..10_000 {
            assert_eq!(keeper.fresh_keys().await.err(), Some(Unknown));
        }
        advance(APART - Duration::from_millis(1)).await;
        assert!(keeper.begin().is_none());
        advance(Duration::from_millis(1)).await;
        assert!(keeper.begin().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_is_not_waited_for_longer_than_three_seconds() {
        let keeper = unreachable();
        let (_running, start) = (keeper.begin().unwrap(), Instant::now());
        assert_eq!(keeper.fresh_keys().await.err(), Some(Unknown));
        assert_eq!(start.elapsed(), PATIENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fetch_that_is_dropped_has_failed_and_wakes_who_waits() {
        let keeper = unreachable();
        know(&keeper);
        advance(APART).await;
        let fetch = keeper.begin().unwrap();
        let start = Instant::now();
        let waiting = tokio::spawn({
            let keeper = keeper.clone();
            async move { keeper.fresh_keys().await.err() }
        });
        tokio::task::yield_now().await;
        drop(fetch);
        assert_eq!(waiting.await.unwrap(), Some(Unknown));
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(keeper.keys().is_some(), "those that are known count");
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_used_for_a_day_without_a_fetch() {
        let keeper = unreachable();
        know(&keeper);
        assert!(keeper.fresh_keys().await.is_ok(), "they have just been fetched");
        advance(LIFE - Duration::from_millis(1)).await;
        assert!(keeper.keys().is_some());
        assert!(keeper.fresh_keys().await.is_err(), "nobody knows whether there are others");
        advance(Duration::from_secs(5)).await;
        assert!(keeper.keys().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn keys_are_fetched_behind_the_traffic() {
        let keeper = unreachable();
        let mut ended = keeper.kept.ended.subscribe();
        let task = tokio::spawn(keeper.clone().keep());
        let mut begun = Vec::new();
        for _ in 0..3 {
            ended.changed().await.unwrap();
            begun.extend(keeper.state().begun);
        }
        assert_eq!([begun[1] - begun[0], begun[2] - begun[1]], [AGAIN; 2], "after a failure");
        task.abort();

        let keeper = unreachable();
        know(&keeper);
        let (mut ended, start) = (keeper.kept.ended.subscribe(), Instant::now());
        let task = tokio::spawn(keeper.clone().keep());
        ended.changed().await.unwrap();
        assert_eq!(keeper.state().begun.unwrap() - start, EVERY);
        task.abort();
    }

    #[tokio::test]
    async fn a_reload_takes_over_what_is_known() {
        let (before, mut after) = (unreachable(), unreachable());
        know(&before);
        assert!(after.keys().is_none());
        after.take_over(&before);
        assert!(Arc::ptr_eq(&after.keys().unwrap(), &before.keys().unwrap()));
    }
}
