#!/usr/bin/env bash
# h2 0.4.20 (crates.io): a dropped stream keeps its queued DATA for as long as the peer does not read.
#
# A server that drops the last handle of a stream gives it up: h2 schedules an implicit reset (CANCEL)
# and never sends the queued DATA. One would expect that to be freed at once, as by an explicit
# `send_reset(Reason::CANCEL)`. It stays in memory until the connection can write again: `send_reset`
# calls `clear_queue`, but `schedule_implicit_reset` leaves that to the next `pop_frame`, which does
# not come while the transport is full. What helps is `send_reset` before the drop. Seen:
#
#   chunks queued of the first and second stream: 4 and 4
#   a second after the drop of the first: 4 and 4
#   right after send_reset of the second: 4 and 0
#   after the peer has read: 0 and 0; the first ended with CANCEL
#
# The peer's windows have room for everything; what is full is a pipe of 4 KiB that it does not read.
# A third stream has filled it, so the frame in flight is of neither stream above. The connection is
# polled ten times a second throughout (tokio 1.54.1, bytes 1.12.2, http 1.5.0).
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat > "$work/Cargo.toml" <<'TOML'
[package]
name = "dropped"
version = "0.0.0"
edition = "2021"
[dependencies]
bytes = "=1.12.2"
h2 = "=0.4.20"
http = "=1.5.0"
tokio = { version = "=1.54.1", features = ["io-util", "macros", "rt", "sync", "time"] }
TOML
cat > "$work/src/main.rs" <<'RUST'
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

const CHUNK: usize = 16 * 1024; // One DATA frame.
static HELD: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
static POLLS: AtomicUsize = AtomicUsize::new(0);

struct Chunk(usize, [u8; CHUNK]);
impl AsRef<[u8]> for Chunk { fn as_ref(&self) -> &[u8] { &self.1 } }
impl Drop for Chunk { fn drop(&mut self) { HELD[self.0].fetch_sub(1, SeqCst); } }
fn held() -> String { format!("{} and {}", HELD[0].load(SeqCst), HELD[1].load(SeqCst)) }
async fn second() { tokio::time::sleep(Duration::from_secs(1)).await }
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let (near, far) = tokio::io::duplex(4096);
    let (accepted, mut streams) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        let mut server = h2::server::handshake(near).await.unwrap();
        loop {
            POLLS.fetch_add(1, SeqCst);
            let next = tokio::time::timeout(Duration::from_millis(100), server.accept()).await;
            let Ok(request) = next else { continue };
            let (_, mut respond) = request.unwrap().unwrap();
            accepted.send(respond.send_response(http::Response::new(()), false).unwrap()).unwrap();
        }
    });
    let mut builder = h2::client::Builder::new();
    builder.initial_window_size(1 << 20).initial_connection_window_size(1 << 20);
    let (mut client, mut peer) = builder.handshake::<_, bytes::Bytes>(far).await.unwrap();
    let mut bodies = Vec::new();
    for _ in 0..3 {
        let (response, _) = client.send_request(http::Request::new(()), true).unwrap();
        let response = tokio::select! { it = response => it, _ = &mut peer => panic!("closed") };
        bodies.push(response.unwrap().into_body());
    }
    // From here on nothing polls `peer`: it does not read.
    let mut open = [streams.recv().await, streams.recv().await, streams.recv().await];
    for stream in [2, 0, 1] {
        let sender = open[stream].as_mut().unwrap();
        sender.reserve_capacity(4 * CHUNK);
        assert_eq!(sender.capacity(), 4 * CHUNK, "the windows have no room");
        for _ in 0..4 {
            HELD[stream].fetch_add(1, SeqCst);
            let chunk = bytes::Bytes::from_owner(Chunk(stream, [0; CHUNK]));
            sender.send_data(chunk, false).unwrap();
        }
        second().await;
    }
    println!("chunks queued of the first and second stream: {}", held());
    POLLS.store(0, SeqCst);
    open[0] = None;
    second().await;
    assert!(POLLS.load(SeqCst) > 3, "nothing polls the connection");
    println!("a second after the drop of the first: {}", held());
    open[1].as_mut().unwrap().send_reset(h2::Reason::CANCEL);
    println!("right after send_reset of the second: {}", held());
    let end = tokio::select! { it = bodies[0].data() => it, _ = &mut peer => panic!("closed") };
    let end = end.unwrap().unwrap_err().reason().unwrap();
    println!("after the peer has read: {}; the first ended with {end:?}", held());
}
RUST

cargo build -q --manifest-path "$work/Cargo.toml" --target-dir "$work/target"
"$work/target/debug/dropped" | tee "$work/seen" || true # The comparison tells.
sed -n 's/^#   //p' "$0" | diff - "$work/seen" ||
    { echo "h2 does not behave as the head of this script says." >&2; exit 1; }
