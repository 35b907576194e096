//! The limit on connections to a server.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec};

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client};
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{DEADLINE, http2};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const MOST: usize = 4;

/// A registry that knows how many connections were open at once. It keeps requests for `/v2/a/`
/// waiting.
fn counting() -> (Fake, Arc<AtomicUsize>) {
    let most = Arc::new(AtomicUsize::new(0));
    let (sockets, highest) = (Mutex::new(Vec::<TcpStream>::new()), Arc::clone(&most));
    let fake = Fake::start(move |conversation| {
        {
            let mut sockets = sockets.lock().unwrap();
            // The end of a connection is here before the beginning of the next one.
            sockets.retain(is_open);
            sockets.push(conversation.socket());
            highest.fetch_max(sockets.len(), Ordering::SeqCst);
        }
        while let Some(head) = conversation.read_head() {
            if head[0].contains("/v2/a/") {
                conversation.wait_for_end();
                break;
            }
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    });
    (fake, most)
}

/// Whether the other side has not closed it.
fn is_open(socket: &TcpStream) -> bool {
    let mut poll = [PollFd::new(socket, PollFlags::RDHUP)];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut poll, Some(&now)).is_ok_and(|ready| ready == 0)
}

fn limited(registry: &Fake) -> Tidegate {
    Tidegate::start(
        Settings::for_upstream(&registry.url())
            .set("server.threads", "2")
            .set("upstream.connections", &MOST.to_string())
            .set("upstream.connect_timeout", r#""1s""#),
    )
}

#[test]
fn connections_to_a_server_are_bounded_over_all_workers() {
    let (registry, most) = counting();
    let tidegate = limited(&registry);
    let mut waiting: Vec<_> = (0..MOST).map(|_| Client::connect(&tidegate)).collect();
    for client in &mut waiting {
        client.send(http1::head("GET /v2/a/tags/list", &[AUTH]));
    }
    let start = Instant::now();
    while most.load(Ordering::SeqCst) < MOST {
        assert!(start.elapsed() < DEADLINE, "{most:?} connections");
        std::thread::yield_now();
    }
    for _ in 0..4 {
        let response = Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]);
        assert_eq!(response.status, 503, "{}", response.text());
        assert_eq!(response.all("Retry-After").len(), 1, "{response:?}");
        assert_eq!(response.error_code(), "UNAVAILABLE");
    }
    assert_eq!(most.load(Ordering::SeqCst), MOST);
    // Clients that leave make room.
    drop(waiting);
    let start = Instant::now();
    while Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status != 200 {
        assert!(start.elapsed() < DEADLINE, "no room is made");
    }
    assert_eq!(most.load(Ordering::SeqCst), MOST);
}

#[test]
fn idle_connections_of_one_worker_starve_no_request_of_another() {
    let (registry, most) = counting();
    let tidegate = limited(&registry);
    // Several connections to tidegate go to both workers, and each leaves idle ones behind.
    let mut clients: Vec<_> = (0..8).map(|_| http2::Client::connect(&tidegate)).collect();
    for round in 0..5 {
        for client in &mut clients {
            let answers =
                [(); MOST].map(|()| client.send(http2::request("GET", "localhost", "/v2/", &[AUTH]), true).0);
            for answer in answers {
                assert_eq!(client.answer(answer).unwrap().status(), 200, "round {round}");
            }
        }
    }
    assert!(most.load(Ordering::SeqCst) <= MOST, "{most:?}");
}
