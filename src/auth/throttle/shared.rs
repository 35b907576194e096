//! The failures of accounts as all replicas count them together, in the engine that they share.
//!
//! An account is a pseudonym there, and expires with its window or delay. The engine's own clock
//! counts, because those of replicas differ.

use std::sync::Arc;
use std::time::Duration;

use redis::Script;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout_at};

use crate::config;
use crate::engine::{Away, Engine};
use crate::metrics::Asked;

/// Counts in the engine.
#[derive(Clone)]
pub(super) struct SharedCount(Arc<Inner>);

struct Inner {
    engine: Engine,
    charge: Script,
    refund: Script,
}

impl SharedCount {
    pub(super) fn new(engine: &Engine) -> Self {
        Self(Arc::new(Inner {
            engine: engine.asking(Asked::Throttle),
            charge: Script::new(include_str!("shared/charge.lua")),
            refund: Script::new(include_str!("shared/refund.lua")),
        }))
    }

    /// Charges an attempt of the account that `parts` name; `Err` is the rest of its delay. The
    /// future may be dropped: what was charged is then refunded.
    ///
    /// # Errors
    /// The engine is away, or does not answer until `until`.
    pub(super) async fn charge(
        &self,
        parts: &[&[u8]],
        settings: config::Throttle,
        until: Instant,
    ) -> Result<Result<SharedCharge, Duration>, Away> {
        let Inner { engine, .. } = &*self.0;
        let account = engine.key(&["throttle", &engine.pseudonym(parts)]);
        let (count, runtime) = (self.clone(), Handle::current());
        // A task of its own, as its end has to be known even if the client leaves.
        let question = runtime.clone().spawn(async move {
            let Inner { engine, charge, .. } = &*count.0;
            let arguments = [most(&settings), micros(settings.window), micros(settings.delay)];
            let (is_charged, number): (bool, u64) = engine.run(charge, &[&account], &arguments).await?;
            Ok(if is_charged {
                Ok(SharedCharge(Some(SharedDebt { count, account, series: number, settings, runtime })))
            } else {
                Err(Duration::from_micros(number))
            })
        });
        match timeout_at(until, question).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_stopped)) => Err(Away),
            Err(_elapsed) => Err(Away),
        }
    }
}

/// An attempt that was charged in the engine. Dropping it refunds the charge, if the engine can be
/// reached; otherwise the charge remains until the account expires.
#[must_use = "dropping it refunds the charge"]
pub(crate) struct SharedCharge(Option<SharedDebt>);

struct SharedDebt {
    count: SharedCount,
    account: String,
    /// A refund is for this series of failures only.
    series: u64,
    settings: config::Throttle,
    /// Checks of passwords end on threads without one.
    runtime: Handle,
}

impl SharedCharge {
    /// The attempt has failed: keeps the charge.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for SharedCharge {
    fn drop(&mut self) {
        let Some(SharedDebt { count, account, series, settings, runtime }) = self.0.take() else { return };
        runtime.spawn(async move {
            let Inner { engine, refund, .. } = &*count.0;
            let arguments = [series, most(&settings), micros(settings.window)];
            _ = engine.run::<()>(refund, &[&account], &arguments).await;
        });
    }
}

fn most(settings: &config::Throttle) -> u64 {
    settings.failures as u64
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
