//! Many clients that come and go, also in the middle of a transfer, leave nothing behind.

use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client};
use crate::harness::http2;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const BLOB_SIZE: usize = 1 << 20;
/// Rounds between two looks at the memory, and looks in each half of the test.
const ROUNDS: usize = 20;
const LOOKS: usize = 12;
/// KiB by which memory may grow from one half to the other. A KiB for each connection or request
/// would be more. At a look, the allocator may hold a transfer's buffers: 1.2 MiB.
const MEMORY: u64 = 1536;

/// A registry that keeps its connections open, sends a blob, and reads uploads of any length.
struct Keeper {
    fake: Fake,
    connections: Arc<Mutex<Vec<TcpStream>>>,
}

impl Keeper {
    fn start() -> Keeper {
        let connections = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&connections);
        let fake = Fake::start(move |conversation| {
            kept.lock().unwrap().push(conversation.socket());
            while let Some(head) = conversation.read_head() {
                let sent = if head[0].starts_with("GET /v2/a/blobs") {
                    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BLOB_SIZE}\r\n\r\n");
                    conversation.write(head.as_bytes()) && conversation.write(&vec![7; BLOB_SIZE])
                } else if head[0].starts_with("PATCH") {
                    while conversation.read_some().is_some() {}
                    false
                } else {
                    conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                };
                if !sent {
                    break;
                }
            }
            let _ = conversation.close();
        });
        Keeper { fake, connections }
    }

    fn close_all(&self) {
        for connection in self.connections.lock().unwrap().drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

/// Clients of every kind, also those that leave early.
fn round(tidegate: &Tidegate) {
    let get = || http2::request("GET", "localhost", "/v2/", &[AUTH]);
    let mut client = Client::connect(tidegate);
    for _ in 0..3 {
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    }
    assert_eq!(client.exchange("GET /v2/", &[]).status, 401);
    let mut client = http2::Client::connect(tidegate);
    for _ in 0..3 {
        assert_eq!(client.exchange(get()).status(), 200);
    }
    let (_unread, _) = client.send(get(), true);
    drop(client);

    // Half an upload, and half a blob, over either protocol.
    let mut client = Client::connect(tidegate);
    client.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Content-Length: 100000"]));
    client.send([7; 50_000]);
    drop(client);
    let mut client = Client::connect(tidegate);
    client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    assert_eq!(client.head_only().unwrap().0, 200);
    client.some();
    drop(client);
    let mut client = http2::Client::connect(tidegate);
    let patch = http2::request("PATCH", "localhost", UPLOAD, &[AUTH, "content-length: 100000"]);
    let (_answer, mut upload) = client.send(patch, false);
    client.data(&mut upload, &[7; 50_000], false).unwrap();
    let (answer, _) = client.send(http2::request("GET", "localhost", BLOB, &[AUTH]), true);
    let mut body = client.head(answer).unwrap().into_body();
    client.some(&mut body).unwrap().unwrap();
    upload.send_reset(h2::Reason::CANCEL);
    drop((body, client));

    // Handshakes that end before the first byte, within the hello, and with plain text.
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut socket = TcpStream::connect(tidegate.address).unwrap();
        let _ = socket.write_all(bytes);
    }
}

#[test]
fn thousands_of_connections_leave_no_descriptor_and_no_memory_behind() {
    let registry = Keeper::start();
    let settings = Settings::for_upstream(&registry.fake.url())
        .set("server.threads", "1")
        // Unused memory goes back to the system at once, so that what is left is in use.
        .environment("MIMALLOC_PURGE_DELAY", "0");
    let tidegate = Tidegate::start(settings);
    let start = tidegate.descriptors();
    let look = || {
        for _ in 0..ROUNDS {
            round(&tidegate);
        }
        registry.close_all();
        tidegate.wait_for_descriptors(start);
        tidegate.resident_kib()
    };
    // The first grows what is kept for later, such as buffers of the worker.
    look();
    let half = || (0..LOOKS).map(|_| look()).collect::<Vec<_>>();
    let (first, last) = (half(), half());
    // The least of each is free of chance: a leak is in every later look.
    let (before, after) = (first.iter().min().unwrap(), last.iter().min().unwrap());
    assert!(after.saturating_sub(*before) < MEMORY, "the memory grows from {first:?} to {last:?} KiB");
}
