//! Two real registries that share their storage, of which one is killed in the middle of pulls and
//! pushes.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::http1::{self, Client};
use crate::harness::image::{finish_upload, noise, sha256, upload};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::{BASIC, DEADLINE};

const PULLS: usize = 100;
const PUSHES: usize = 20;
/// Pulls that are in the middle of a body when the registry dies.
const IN_FLIGHT: usize = 12;

struct Pair {
    one: Registry,
    _other: Registry,
    tidegate: Tidegate,
    _storage: TempDir,
}

impl Pair {
    fn start() -> Pair {
        let storage = TempDir::new().unwrap();
        let (one, other) = (Registry::sharing(storage.path(), 0), Registry::sharing(storage.path(), 0));
        let settings = Settings::for_upstream(&one.url())
            .set("upstream.servers", &format!("[{:?}, {:?}]", one.url(), other.url()))
            .set("upstream.shared_storage", "true")
            .set("upstream.balance", r#""round-robin""#);
        Pair { one, _other: other, tidegate: Tidegate::start(settings), _storage: storage }
    }
}

fn authorization() -> String {
    format!("Authorization: {BASIC}")
}

/// Pulls a blob; calls `begun` when its head is there. Whether it arrived whole; panics if it is
/// silently wrong.
fn pull(client: &mut Client, digest: &str, begun: impl FnOnce()) -> bool {
    client.send(http1::head(&format!("GET /v2/a/blobs/sha256:{digest}"), &[&authorization()]));
    match client.response_in_parts(false, begun) {
        Ok(response) if response.status == 200 && response.complete => {
            assert_eq!(sha256(&response.body), digest, "silently wrong");
            true
        }
        Ok(response) => {
            assert!(response.status == 502 || !response.complete, "{}", response.status);
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof, "it hangs");
            false
        }
    }
}

/// Pushes a blob in three requests. `Err` with the status that was no success.
fn push(client: &mut Client, blob: &[u8]) -> Result<(), u16> {
    let authorization = authorization();
    let begun = client.exchange("POST /v2/a/blobs/uploads/", &[&authorization, "Content-Length: 0"]);
    if begun.status != 202 {
        return Err(begun.status);
    }
    let done = finish_upload(client, &authorization, begun.all("location")[0], blob);
    if done.status == 201 { Ok(()) } else { Err(done.status) }
}

#[test]
fn a_registry_killed_during_pulls_and_pushes_breaks_only_what_was_in_flight() {
    let mut pair = Pair::start();
    let (large, small) = (noise(24 << 20), noise(2 << 20));
    let (large_digest, small_digest) = (sha256(&large), sha256(&small));
    let mut client = Client::connect(&pair.tidegate);
    upload(&mut client, &authorization(), "a", &large);
    upload(&mut client, &authorization(), "a", &small);

    let (whole, broken) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (begun, killed) = (Barrier::new(IN_FLIGHT + 1), Barrier::new(IN_FLIGHT + 1));
    let tidegate = &pair.tidegate;
    let count = |is_whole| (if is_whole { &whole } else { &broken }).fetch_add(1, Ordering::SeqCst);
    std::thread::scope(|scope| {
        for _ in 0..IN_FLIGHT {
            scope.spawn(|| {
                let mut client = Client::connect(tidegate);
                count(pull(&mut client, &large_digest, || {
                    begun.wait();
                    killed.wait();
                }));
            });
        }
        begun.wait();
        let pushes: Vec<_> = (0..PUSHES / 2)
            .map(|_| scope.spawn(|| push(&mut Client::connect(tidegate), &noise(3 << 20))))
            .collect();
        pair.one.kill();
        killed.wait();
        // These began before or while it died.
        for push in pushes {
            let push = push.join().unwrap();
            assert!(matches!(push, Ok(()) | Err(404 | 416 | 502)), "{push:?}");
        }
    });
    let cut = broken.load(Ordering::SeqCst);
    assert!((1..IN_FLIGHT).contains(&cut), "{cut} of {IN_FLIGHT} were at the killed one");

    // Whatever begins now succeeds.
    for _ in 0..PULLS - IN_FLIGHT {
        let mut client = Client::connect(&pair.tidegate);
        assert!(pull(&mut client, &small_digest, || ()), "a pull that began after the death fails");
    }
    for _ in 0..PUSHES / 2 {
        let blob = noise(3 << 20);
        assert_eq!(push(&mut Client::connect(&pair.tidegate), &blob), Ok(()));
        assert!(pull(&mut Client::connect(&pair.tidegate), &sha256(&blob), || ()));
    }

    let start = pair.tidegate.access.len();
    pair.one.restart();
    let returned = Instant::now();
    let upstream = format!(r#""upstream":"{}""#, pair.one.url());
    let mut client = Client::connect(&pair.tidegate);
    while !pair.tidegate.access.so_far()[start..].iter().any(|line| line.contains(&upstream)) {
        assert!(pull(&mut client, &small_digest, || ()));
        assert!(returned.elapsed() < DEADLINE, "it is never used again");
        std::thread::sleep(Duration::from_millis(10));
    }
    eprintln!("{cut} pulls were cut; in use again after {:?}", returned.elapsed());
}
