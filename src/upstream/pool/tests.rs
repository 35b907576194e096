use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::yield_now;
use tokio::time::advance;

use super::super::error::UpstreamError;
use super::super::stream::Stream;
use super::*;
use crate::config::ServerAddress;

const SECOND: Duration = Duration::from_secs(1);

/// Connections to the only address of a server, of which so many may be open.
fn limited(pool: &Pool, host: &str, limit: usize) -> Rc<EndpointPool> {
    let address = ServerAddress::Tcp { host: host.to_owned(), port: 5000, tls: false };
    let server = Arc::new(Server::new(&address, None, limit, 1));
    let endpoint = server.endpoints()[0].clone();
    pool.of(&server, &endpoint)
}

fn server(pool: &Pool, host: &str) -> Rc<EndpointPool> {
    limited(pool, host, 2 * IDLE_CONNECTIONS)
}

/// A new connection in use, and the registry's end.
async fn lease(server: &Rc<EndpointPool>) -> (Lease, DuplexStream) {
    let (ours, theirs) = duplex(1024);
    let mut connection = Box::new(Connection::new(Stream::new(ours)));
    assert!(connection.is_usable());
    (server.lease(connection, server.server.try_permit().unwrap()), theirs)
}

async fn is_closed(mut theirs: DuplexStream) -> bool {
    let mut byte = [0];
    tokio::select! {
        biased;
        read = theirs.read(&mut byte) => read.is_ok_and(|bytes| bytes == 0),
        () = yield_now() => false,
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_for_its_own_server_and_for_half_a_minute() {
    let pool = Pool::default();
    let (one, other) = (server(&pool, "127.0.0.1"), server(&pool, "127.0.0.2"));
    let (lease, _theirs) = lease(&one).await;
    lease.check_in();
    assert!(other.check_out().is_none());
    advance(IDLE_TIME - SECOND).await;
    let lease = pool.of(&one.server, &one.endpoint).check_out().expect("asking for another server closed it");
    lease.check_in();
    advance(IDLE_TIME).await;
    assert!(one.check_out().is_none());
}

#[tokio::test(start_paused = true)]
async fn sweeping_closes_what_has_expired_and_forgets_unused_servers() {
    let pool = Pool::default();
    let (old, old_end) = lease(&server(&pool, "127.0.0.1")).await;
    old.check_in();
    advance(IDLE_TIME / 2).await;
    let (young, young_end) = lease(&server(&pool, "127.0.0.2")).await;
    young.check_in();
    let in_use = server(&pool, "127.0.0.3");
    advance(IDLE_TIME / 2).await;
    pool.sweep();
    assert!(is_closed(old_end).await);
    assert!(!is_closed(young_end).await);
    let known: Vec<_> =
        pool.endpoints.borrow().iter().map(|pool| pool.endpoint.address.to_string()).collect();
    assert_eq!(known, ["127.0.0.2:5000", "127.0.0.3:5000"]);
    drop(in_use);
}

#[tokio::test(start_paused = true)]
async fn each_server_has_its_own_limit_of_idle_connections() {
    let pool = Pool::default();
    let (one, other) = (server(&pool, "127.0.0.1"), server(&pool, "127.0.0.2"));
    let (first_of_other, other_end) = lease(&other).await;
    first_of_other.check_in();
    let mut ends = Vec::new();
    for _ in 0..=IDLE_CONNECTIONS {
        let (lease, theirs) = lease(&one).await;
        lease.check_in();
        ends.push(theirs);
        advance(SECOND / 10).await;
    }
    assert!(is_closed(ends.remove(0)).await, "the one unused for longest is closed");
    assert!(!is_closed(ends.remove(0)).await);
    assert!(!is_closed(other_end).await);
    assert_eq!(one.idle.borrow().len(), IDLE_CONNECTIONS);
}

#[tokio::test]
async fn what_the_registry_has_closed_is_not_used_again() {
    let pool = Pool::default();
    let server = server(&pool, "127.0.0.1");
    let (kept, _end) = lease(&server).await;
    let (closed, closed_end) = lease(&server).await;
    kept.check_in();
    closed.check_in();
    drop(closed_end);
    assert!(server.check_out().is_some());
    assert!(server.check_out().is_none(), "only one of them was usable");
}

#[tokio::test]
async fn a_lease_that_is_dropped_closes_its_connection() {
    let server = server(&Pool::default(), "127.0.0.1");
    let (lease, theirs) = lease(&server).await;
    drop(lease);
    assert!(is_closed(theirs).await);
    assert!(server.check_out().is_none());
}

#[tokio::test]
async fn connections_to_an_address_that_is_gone_are_not_kept() {
    let pool = Pool::default();
    let server = server(&pool, "127.0.0.1");
    let (idle, idle_end) = lease(&server).await;
    let (in_use, end_in_use) = lease(&server).await;
    idle.check_in();
    server.endpoint.leave();
    pool.sweep();
    assert!(is_closed(idle_end).await);
    in_use.check_in();
    assert!(is_closed(end_in_use).await);
    assert_eq!(server.endpoint.connections(Usage::Active), 0);
    assert_eq!(server.endpoint.connections(Usage::Idle), 0);
}

#[tokio::test]
async fn a_request_that_waits_gets_the_connection_that_becomes_idle() {
    let pool = Pool::default();
    let server = limited(&pool, "127.0.0.1", 1);
    let (only, _end) = lease(&server).await;
    let asked = Cell::new(false);
    let mut waiting = std::pin::pin!(server.permit(|| asked.set(true)));
    tokio::select! {
        biased;
        _ = waiting.as_mut() => panic!("there are two connections"),
        () = yield_now() => {}
    }
    only.check_in();
    assert!(matches!(waiting.await, Some(Ok(_))));
    assert!(asked.get());
}

#[tokio::test]
async fn an_idle_connection_of_another_worker_makes_room_for_one_that_waits() {
    let (pool, elsewhere) = (Pool::default(), Pool::default());
    let server = limited(&pool, "127.0.0.1", 1);
    let (only, end) = lease(&server).await;
    only.check_in();
    let other = elsewhere.of(&server.server, &server.endpoint);
    let waiting = other.permit(|| pool.give_up());
    assert!(matches!(waiting.await, Some(Err(_))));
    assert!(is_closed(end).await);
}

#[tokio::test]
async fn idle_connections_to_an_address_that_is_down_hold_no_permit() {
    let pool = Pool::default();
    let server = limited(&pool, "127.0.0.1", 1);
    let (lease, theirs) = lease(&server).await;
    lease.check_in();
    assert!(server.server.try_permit().is_none());
    // As another worker records it.
    server.endpoint.health.unreachable(UpstreamFault::of_error(&UpstreamError::Vanished));
    pool.sweep();
    assert!(is_closed(theirs).await && server.server.try_permit().is_some(), "no check can run");
}
