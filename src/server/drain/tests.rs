use std::cell::Cell;
use std::future::pending;

use tokio::task::yield_now;

use super::super::accepted::Accepted;
use super::super::workers::{FailureCause, Inbox};
use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn it_is_quiet_a_second_after_the_last_request() {
    let (running, total) = (Cell::new(0), Cell::new(7));
    let begun = Instant::now();
    let requests = async {
        tokio::time::sleep(SECOND / 2).await;
        running.set(1);
        total.set(8);
        tokio::time::sleep(10 * SECOND).await;
        running.set(0);
        tokio::time::sleep(SECOND / 2).await;
        // A transfer has begun and ended between two counts.
        total.set(9);
        pending().await
    };
    tokio::select! {
        () = requests => {}
        () = quiet(|| (running.get(), total.get())) => {}
    }
    let time = begun.elapsed();
    assert!((12 * SECOND..12 * SECOND + 2 * COUNT_INTERVAL).contains(&time), "{time:?}");
}

#[tokio::test(start_paused = true)]
async fn without_requests_it_is_quiet_after_a_second() {
    let begun = Instant::now();
    quiet(|| (0, 0)).await;
    assert!((SECOND..SECOND + 2 * COUNT_INTERVAL).contains(&begun.elapsed()), "{:?}", begun.elapsed());
}

/// A worker with one transfer that ends two seconds after the worker was asked to close.
async fn transfer(mut inbox: Inbox) -> Result<(), FailureCause> {
    let transfer = inbox.handovers.recv().await;
    _ = inbox.phase.wait_for(|phase| *phase >= Phase::Closing).await;
    tokio::select! {
        () = tokio::time::sleep(2 * SECOND) => drop(transfer),
        _ = inbox.phase.wait_for(|phase| *phase >= Phase::Cutting) => {}
    }
    Ok(())
}

#[tokio::test(flavor = "local")]
async fn a_transfer_is_waited_for_while_others_hold_views_of_the_workers() {
    let workers = Workers::start(2, transfer).unwrap();
    let view = workers.view();
    let mut acceptors = JoinSet::new();
    let acceptors_view = workers.view();
    acceptors.spawn_local(async move {
        let _view = acceptors_view;
        pending().await
    });
    for _ in 0..2 {
        let (accepted, _client) = Accepted::with_client().await;
        view.hand_over(accepted);
    }
    yield_now().await;
    let begun = Instant::now();
    drain(workers, acceptors, Duration::ZERO, 60 * SECOND, pending).await.unwrap();
    let time = begun.elapsed();
    assert!((3 * SECOND..30 * SECOND).contains(&time), "{time:?}");
    assert_eq!(view.requests(), 0);
}

#[tokio::test]
async fn a_second_signal_cuts_what_is_running() {
    let workers = Workers::start(1, transfer).unwrap();
    let (accepted, _client) = Accepted::with_client().await;
    workers.view().hand_over(accepted);
    let begun = Instant::now();
    let end = drain(workers, JoinSet::new(), Duration::ZERO, 60 * SECOND, async || {}).await;
    assert!(matches!(end, Err(StopError::Impatient)), "{end:?}");
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_worker_that_fails_while_draining_is_the_result() {
    let workers = Workers::start(1, async |_| Err(FailureCause::LostTask("a test"))).unwrap();
    let end = drain(workers, JoinSet::new(), Duration::ZERO, 60 * SECOND, pending).await;
    let message = end.unwrap_err().to_string();
    assert!(message.starts_with("worker thread tidegate-0 lost its task for a test"), "{message}");
}

#[tokio::test]
async fn a_second_signal_ends_the_delay_too() {
    let workers = Workers::start(1, transfer).unwrap();
    let begun = Instant::now();
    let end = drain(workers, JoinSet::new(), 60 * SECOND, 60 * SECOND, async || {}).await;
    assert!(matches!(end, Err(StopError::Impatient)), "{end:?}");
    assert!(begun.elapsed() < 2 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_worker_that_fails_in_the_delay_is_the_result() {
    let workers = Workers::start(1, async |_| Err(FailureCause::LostTask("a test"))).unwrap();
    let end = drain(workers, JoinSet::new(), 60 * SECOND, 60 * SECOND, pending).await;
    assert!(matches!(end, Err(StopError::Worker(_))), "{end:?}");
}
