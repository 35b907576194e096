use tokio::io::{AsyncReadExt, DuplexStream, duplex};
use tokio::task::yield_now;
use tokio::time::advance;

use super::super::stream::Stream;
use super::*;
use crate::config::ServerAddress;

const SECOND: Duration = Duration::from_secs(1);

fn address(host: &str) -> Destination {
    Destination {
        server: ServerAddress::Tcp { host: host.to_owned(), port: 5000, tls: false },
        tls: None,
        name: String::new(),
        connect_timeout: SECOND,
        read_timeout: SECOND,
        login: None,
        path: String::new(),
        host: None,
    }
}

/// A new connection in use, and the registry's end.
async fn lease(server: &Rc<ServerPool>) -> (Lease, DuplexStream) {
    let (ours, theirs) = duplex(1024);
    let mut connection = Connection::open(Stream::new(ours)).await.unwrap();
    assert!(connection.is_usable());
    (server.lease(connection), theirs)
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
    let (one, other) = (pool.server(&address("one")), pool.server(&address("other")));
    let (lease, _theirs) = lease(&one).await;
    lease.check_in();
    assert!(other.check_out().is_none());
    advance(IDLE_TIME - SECOND).await;
    let lease = pool.server(&address("one")).check_out().expect("asking for another server closed it");
    lease.check_in();
    advance(IDLE_TIME).await;
    assert!(one.check_out().is_none());
}

#[tokio::test(start_paused = true)]
async fn sweeping_closes_what_has_expired_and_forgets_unused_servers() {
    let pool = Pool::default();
    let (old, old_end) = lease(&pool.server(&address("one"))).await;
    old.check_in();
    advance(IDLE_TIME / 2).await;
    let (young, young_end) = lease(&pool.server(&address("other"))).await;
    young.check_in();
    let in_use = pool.server(&address("third"));
    advance(IDLE_TIME / 2).await;
    pool.sweep();
    assert!(is_closed(old_end).await);
    assert!(!is_closed(young_end).await);
    let known: Vec<_> =
        pool.servers.borrow().iter().map(|server| server.made_for.server.to_string()).collect();
    assert_eq!(known, ["http://other:5000", "http://third:5000"]);
    drop(in_use);
}

#[tokio::test(start_paused = true)]
async fn each_server_has_its_own_limit_of_idle_connections() {
    let pool = Pool::default();
    let (one, other) = (pool.server(&address("one")), pool.server(&address("other")));
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
    let server = pool.server(&address("one"));
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
    let server = Pool::default().server(&address("one"));
    let (lease, theirs) = lease(&server).await;
    drop(lease);
    assert!(is_closed(theirs).await);
    assert!(server.check_out().is_none());
}
