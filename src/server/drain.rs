//! The end of the process: which requests are waited for, and for how long.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until, timeout};

use super::phase::Phase;
use super::workers::{WorkerFailure, Workers};

/// A client in the middle of a push sends its next request within this time after the last.
const QUIET_TIME: Duration = Duration::from_secs(1);
/// How often running requests are counted while draining.
const COUNT_INTERVAL: Duration = Duration::from_millis(20);
/// How long connections that are cut may take to release what they hold.
const CUT_TIME: Duration = Duration::from_secs(1);

/// Why the process ended without waiting for its transfers.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StopError {
    /// A second SIGTERM or SIGINT.
    #[error("stopped at once, as asked; running transfers were cut")]
    Impatient,
    /// A worker can no longer serve its connections.
    #[error("{0}; tidegate has stopped, so that its supervisor restarts it")]
    Worker(#[from] WorkerFailure),
    /// The process that has taken over is gone.
    #[error(
        "the process that has taken over ended at once; tidegate has stopped, so that its supervisor restarts it"
    )]
    Deserted,
    /// The main thread can no longer do its part.
    #[error("lost the task for {0}; tidegate has stopped, so that its supervisor restarts it")]
    LostTask(&'static str),
}

/// Ends in order. For `delay` everything goes on, while balancers notice that the process is not
/// ready. Then, for at most half of `patience`, requests may finish and new ones may follow them.
/// Then the listeners are closed, and what is left may finish. What is not over `patience` after
/// the delay, or when `stop` is ready, is cut.
///
/// # Errors
/// `stop` was ready, or a worker failed meanwhile.
pub(crate) async fn drain(
    mut workers: Workers,
    acceptors: JoinSet<()>,
    delay: Duration,
    patience: Duration,
    mut stop: impl AsyncFnMut(),
) -> Result<(), StopError> {
    let view = workers.view();
    if !delay.is_zero() {
        tracing::info!(?delay, "not ready any more; still accepting for server.drain_delay");
        let end = tokio::select! {
            () = sleep(delay) => None,
            () = stop() => Some(StopError::Impatient),
            failure = workers.failed() => Some(failure.into()),
        };
        if let Some(error) = end {
            _ = cut(workers, acceptors).await;
            return Err(error);
        }
    }
    let begun = Instant::now();
    tracing::info!(requests = view.requests(), "draining");
    workers.enter(Phase::Draining);
    tokio::select! {
        () = quiet(|| (view.requests(), view.total_requests())) => {}
        () = sleep_until(begun + patience / 2) => {}
        () = stop() => {
            _ = cut(workers, acceptors).await;
            return Err(StopError::Impatient);
        }
    }
    finish(workers, acceptors, begun + patience, stop).await
}

/// Ends when every connection has, because another process accepts the new ones. Nobody waits for
/// that, so transfers have all the time that they need. From the first `stop` on they have
/// `patience`; what is not over then, or at the second, is cut.
///
/// # Errors
/// `stop` was ready twice, a worker failed, or the other process is `lost`.
pub(crate) async fn leave(
    mut workers: Workers,
    patience: Duration,
    mut stop: impl AsyncFnMut(),
    lost: impl Future<Output = ()>,
) -> Result<(), StopError> {
    let view = workers.view();
    tracing::info!(requests = view.requests(), "accepting no more; running transfers go on to their end");
    workers.enter(Phase::Leaving);
    let end = tokio::select! {
        () = unused(|| view.connections()) => None,
        () = stop() => None,
        () = lost => Some(StopError::Deserted),
        failure = workers.failed() => Some(failure.into()),
    };
    match end {
        None => finish(workers, JoinSet::new(), Instant::now() + patience, stop).await,
        Some(error) => {
            _ = cut(workers, JoinSet::new()).await;
            Err(error)
        }
    }
}

/// Closes the listeners and waits for what is left, until `deadline`.
async fn finish(
    mut workers: Workers,
    mut acceptors: JoinSet<()>,
    deadline: Instant,
    mut stop: impl AsyncFnMut(),
) -> Result<(), StopError> {
    acceptors.shutdown().await;
    workers.enter(Phase::Closing);
    let result = tokio::select! {
        end = workers.join() => {
            tracing::info!("stopped");
            return end.map_err(StopError::Worker);
        }
        () = sleep_until(deadline) => Ok(()),
        () = stop() => Err(StopError::Impatient),
    };
    let end = cut(workers, acceptors).await;
    result?;
    end.map_err(StopError::Worker)
}

/// Closes the listeners and then every connection, whatever is running on it.
///
/// # Errors
/// A worker failed meanwhile.
pub(crate) async fn cut(mut workers: Workers, mut acceptors: JoinSet<()>) -> Result<(), WorkerFailure> {
    acceptors.shutdown().await;
    workers.enter(Phase::Cutting);
    let end = timeout(CUT_TIME, workers.join()).await;
    tracing::warn!("stopped; transfers that were still running were cut");
    end.unwrap_or(Ok(()))
}

/// Waits until for [`QUIET_TIME`] no request has run and none has begun. `count` returns the
/// running requests and all since the start.
async fn quiet(count: impl Fn() -> (usize, usize)) {
    let mut counts = interval(COUNT_INTERVAL);
    let mut since = Instant::now();
    let (_, mut total_before) = count();
    while since.elapsed() < QUIET_TIME {
        counts.tick().await;
        let (running, total) = count();
        if running > 0 || total != total_before {
            total_before = total;
            since = Instant::now();
        }
    }
}

/// Waits until no connection is open.
async fn unused(count: impl Fn() -> usize) {
    let mut counts = interval(COUNT_INTERVAL);
    while count() > 0 {
        counts.tick().await;
    }
}

#[cfg(test)]
mod tests;
