//! A registry that comes back with another address, behind a DNS answer that is valid for ten
//! minutes.

use std::net::{Ipv4Addr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::harness::door::resolve;
use crate::harness::http1::Client;
use crate::harness::image::{finish_upload, noise, sha256};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::two_machines::{FAR, RESOLVER, TwoMachines};
use crate::harness::{BASIC, DEADLINE};

const PORT: u16 = 5000;

/// Pushes a blob. Returns the statuses that were no success; a push ends with the first.
fn push(client: &mut Client, blob: &[u8]) -> Option<u16> {
    let authorization = format!("Authorization: {BASIC}");
    let begun = client.exchange("POST /v2/a/blobs/uploads/", &[&authorization, "Content-Length: 0"]);
    if begun.status != 202 {
        return Some(begun.status);
    }
    let done = finish_upload(client, &authorization, begun.all("location")[0], blob);
    (done.status != 201).then_some(done.status)
}

#[test]
fn a_push_loop_goes_on_when_the_registry_comes_back_with_another_address() {
    let Some(machines) = TwoMachines::start() else { return };
    let storage = TempDir::new().unwrap();
    let start = |address: &str| {
        Registry::elsewhere(&machines.far_runner(), &format!("{address}:{PORT}"), storage.path())
    };
    let registry = start(FAR[0]);
    machines.move_near();
    let now = Arc::new(Mutex::new(FAR[0].parse::<Ipv4Addr>().unwrap()));
    resolve(UdpSocket::bind((RESOLVER, 53)).unwrap(), Arc::clone(&now));
    let settings = Settings::for_upstream(&format!("http://moved.test:{PORT}"))
        .set("upstream.resolve_every", r#""3s""#)
        .set("upstream.connect_timeout", r#""2s""#)
        .run_by(machines.runner());
    let tidegate = Tidegate::start(settings);

    let mut pushed = Vec::new();
    let mut failed = Vec::new();
    let mut registry = Some(registry);
    let mut returned: Option<Instant> = None;
    let mut after = 0;
    let begun = Instant::now();
    while after < 5 {
        assert!(begun.elapsed() < 2 * DEADLINE, "the loop never goes on: {failed:?}");
        let blob = noise(1 << 20);
        match push(&mut Client::connect(&tidegate), &blob) {
            None => {
                pushed.push(sha256(&blob));
                after += usize::from(returned.is_some());
            }
            Some(status) => failed.push((status, returned.map(|returned| returned.elapsed()))),
        }
        if pushed.len() == 5 && returned.is_none() {
            drop(registry.take());
            machines.cut(FAR[0]);
            registry = Some(start(FAR[1]));
            *now.lock().unwrap() = FAR[1].parse().unwrap();
            returned = Some(Instant::now());
        }
    }
    eprintln!("failed, with the time after its return: {failed:?}");
    assert!(failed.len() <= 1, "more than the request in flight: {failed:?}");
    assert!(failed.iter().all(|(_, after)| after.is_some_and(|after| after < Duration::from_secs(20))));
    let mut client = Client::connect(&tidegate);
    for digest in &pushed {
        let authorization = format!("Authorization: {BASIC}");
        let pulled = client.exchange(&format!("GET /v2/a/blobs/sha256:{digest}"), &[&authorization]);
        assert_eq!((pulled.status, &sha256(&pulled.body)), (200, digest));
    }
}
