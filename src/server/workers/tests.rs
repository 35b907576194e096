use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use tokio::time::timeout;

use super::*;

const SOON: Duration = Duration::from_secs(5);

/// Keeps its connections until the process closes.
async fn hold(mut inbox: Inbox) -> Result<(), FailureCause> {
    let mut held = Vec::new();
    loop {
        tokio::select! {
            Some(handover) = inbox.handovers.recv() => held.push(handover),
            _ = inbox.phase.wait_for(|phase| *phase >= Phase::Closing) => return Ok(()),
        }
    }
}

/// Panics at its first connection.
async fn panic_when_used(mut inbox: Inbox) -> Result<(), FailureCause> {
    let handover = inbox.handovers.recv().await;
    assert!(handover.is_none(), "a panic for a test");
    Ok(())
}

fn is_closed(mut client: TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    match client.read(&mut [0]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    }
}

#[tokio::test]
async fn a_view_does_not_keep_the_owner_from_waiting_for_a_transfer() {
    let (release, released) = watch::channel(false);
    let work = move |mut inbox: Inbox| {
        let mut released = released.clone();
        async move {
            let _transfer = inbox.handovers.recv().await;
            _ = inbox.phase.wait_for(|phase| *phase >= Phase::Closing).await;
            _ = released.wait_for(|released| *released).await;
            Ok(())
        }
    };
    let mut workers = Workers::start(1, work).unwrap();
    let view = workers.view();
    let (accepted, client) = Accepted::with_client().await;
    view.hand_over(accepted);
    workers.enter(Phase::Closing);
    assert!(timeout(Duration::from_millis(100), workers.join()).await.is_err(), "it waits for the transfer");
    assert!(!is_closed(client.try_clone().unwrap()));
    release.send_replace(true);
    timeout(SOON, workers.join()).await.unwrap().unwrap();
    assert!(is_closed(client));
    assert_eq!(view.0[0].load.connections(), 0);
}

#[tokio::test]
async fn a_panic_is_reported_with_the_name_of_the_thread() {
    let mut workers = Workers::start(2, panic_when_used).unwrap();
    let (accepted, _client) = Accepted::with_client().await;
    assert!(timeout(Duration::from_millis(50), workers.failed()).await.is_err());
    workers.view().hand_over(accepted);
    let failure = timeout(SOON, workers.failed()).await.unwrap();
    assert_eq!(failure.to_string(), "worker thread tidegate-0 panicked");
}

#[tokio::test]
async fn a_panic_is_reported_without_waiting_for_a_name_lookup() {
    let (lookup, ends) = std::sync::mpsc::channel::<()>();
    let ends = Arc::new(std::sync::Mutex::new(ends));
    let work = move |inbox: Inbox| {
        let ends = ends.clone();
        async move {
            _ = tokio::task::spawn_blocking(move || ends.lock().unwrap().recv());
            panic_when_used(inbox).await
        }
    };
    let mut workers = Workers::start(1, work).unwrap();
    let (accepted, client) = Accepted::with_client().await;
    workers.view().hand_over(accepted);
    let failure = timeout(SOON, workers.failed()).await;
    drop(lookup);
    assert_eq!(failure.unwrap().to_string(), "worker thread tidegate-0 panicked");
    assert!(is_closed(client));
}

#[tokio::test]
async fn a_worker_that_ends_unasked_has_failed() {
    let mut workers = Workers::start(1, async |_| Ok(())).unwrap();
    let failure = timeout(SOON, workers.failed()).await.unwrap();
    assert_eq!(failure.to_string(), "worker thread tidegate-0 ended");
}

#[tokio::test]
async fn a_failure_is_the_result_after_all_others_have_ended() {
    let work = async |inbox: Inbox| {
        let name = std::thread::current().name().map(str::to_owned);
        if name.as_deref() == Some("tidegate-0") { panic_when_used(inbox).await } else { hold(inbox).await }
    };
    let mut workers = Workers::start(2, work).unwrap();
    let (first, _client) = Accepted::with_client().await;
    workers.view().hand_over(first);
    assert!(timeout(Duration::from_millis(100), workers.join()).await.is_err(), "the other one runs");
    workers.enter(Phase::Closing);
    let failure = timeout(SOON, workers.join()).await.unwrap().unwrap_err();
    assert_eq!(failure.to_string(), "worker thread tidegate-0 panicked");
}

#[tokio::test]
async fn connections_go_to_the_workers_that_are_left_and_only_they_count_them() {
    let work = async |inbox: Inbox| {
        let name = std::thread::current().name().map(str::to_owned);
        if name.as_deref() == Some("tidegate-0") { panic_when_used(inbox).await } else { hold(inbox).await }
    };
    let mut workers = Workers::start(2, work).unwrap();
    let view = workers.view();
    let (first, lost) = Accepted::with_client().await;
    view.hand_over(first);
    timeout(SOON, workers.failed()).await.unwrap();
    assert!(is_closed(lost));
    let mut clients = Vec::new();
    for _ in 0..5 {
        let (accepted, client) = Accepted::with_client().await;
        view.hand_over(accepted);
        clients.push(client);
    }
    let connections: Vec<_> = view.0.iter().map(|seat| seat.load.connections()).collect();
    assert_eq!(connections, [0, 5]);
    workers.enter(Phase::Closing);
    timeout(SOON, workers.join()).await.unwrap().unwrap();
    let (late, client) = Accepted::with_client().await;
    view.hand_over(late);
    assert!(is_closed(client), "no worker is left");
    assert_eq!(view.0[1].load.connections(), 0);
}
