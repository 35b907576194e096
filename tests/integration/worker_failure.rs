//! A worker thread that panics: the process must not continue without it. Only debug builds have a
//! way to make one panic.
#![cfg(debug_assertions)]

use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client};
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SOFTWARE: i32 = 70;

#[test]
fn a_worker_panic_ends_the_process_with_an_error() {
    let registry = Fake::start(|conversation| {
        if conversation.read_head().is_some() {
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nfirst");
            while conversation.read_some().is_some() {}
        }
    });
    let settings = Settings::for_upstream(&registry.url()).set("server.threads", "2");
    let trigger = settings.path().join("panic");
    let settings = settings.environment("TIDEGATE_TEST_PANIC", trigger.to_str().unwrap());
    let mut tidegate = Tidegate::start(settings);
    // One transfer for each worker; the third connection makes one of them panic.
    let transfers: Vec<Client> = (0..2).map(|_| transfer(&tidegate)).collect();
    fs::write(&trigger, "").unwrap();
    let mut unlucky = TcpStream::connect(tidegate.address).unwrap();
    tidegate.log.wait_for("the panic", |line| line.contains("a panic for a test"));
    let start = Instant::now();
    // From then on, connections are refused or served. They must not be accepted and reset for
    // long.
    while let Ok(mut socket) = TcpStream::connect(tidegate.address) {
        _ = socket.read(&mut [0]);
        assert!(start.elapsed() < Duration::from_secs(1), "it still accepts connections");
    }
    assert_eq!(tidegate.wait().code(), Some(SOFTWARE));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert!(unlucky.read(&mut [0]).map_or(true, |bytes| bytes == 0));
    drop(transfers);
    let log = tidegate.log.to_end().join("\n");
    assert!(log.contains("worker thread tidegate-") && log.contains("supervisor"), "{log}");
    let lines = tidegate.access.to_end();
    assert_eq!(lines.len(), 2, "both cut transfers must be in the access log:\n{}", lines.join("\n"));
}

/// A client that has received the beginning of a blob.
fn transfer(tidegate: &Tidegate) -> Client {
    let mut client = Client::connect(tidegate);
    client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    assert_eq!(client.head_only().unwrap().0, 200);
    client
}
