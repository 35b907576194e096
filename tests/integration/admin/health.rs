//! Whether the process should be restarted. Only debug builds have a way to make a worker stick.
#![cfg(debug_assertions)]

use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::admin::{self, ask, wait_for};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::Tidegate;

#[test]
fn a_stuck_worker_is_unhealthy_while_its_registry_is_up() {
    let recorder = Recorder::start();
    let settings = admin::settings(&recorder.url()).set("server.threads", "2");
    let trigger = settings.path().join("stick");
    let tidegate = Tidegate::start(settings.environment("TIDEGATE_TEST_STICK", trigger.to_str().unwrap()));
    wait_for(&tidegate, "GET /readyz", |answer| answer.status == 200);
    let healthy = ask(&tidegate, "GET /healthz", &[]);
    assert_eq!((healthy.status, healthy.body.as_str()), (200, r#"{"healthy":true,"stuck":[]}"#));

    fs::write(&trigger, "").unwrap();
    let _unlucky = TcpStream::connect(tidegate.address).unwrap();
    let start = Instant::now();
    let noticed = wait_for(&tidegate, "GET /healthz", |answer| answer.status == 503);
    assert!(noticed < Duration::from_secs(15), "{noticed:?}");
    let sick = ask(&tidegate, "GET /healthz", &[]);
    let stuck = sick.json()["stuck"].as_array().unwrap().clone();
    assert!(stuck.len() == 1 && stuck[0].as_str().unwrap().starts_with("tidegate-"), "{sick:?}");
    // Readiness is about other things, and does not wait for the workers.
    let asked = Instant::now();
    assert_eq!(ask(&tidegate, "GET /readyz", &[]).status, 200);
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());

    // Any number of probes at once waits for one round of questions, not one after the other.
    let probes: Vec<_> = (0..30)
        .map(|_| {
            let address = admin::address(&tidegate);
            std::thread::spawn(move || {
                admin::exchange(TcpStream::connect(address).unwrap(), "GET /healthz", &[]).unwrap().status
            })
        })
        .collect();
    let asked = Instant::now();
    assert!(probes.into_iter().all(|probe| probe.join().unwrap() == 503));
    assert!(asked.elapsed() < Duration::from_secs(15), "{:?}", asked.elapsed());
    fs::remove_file(&trigger).unwrap();
    wait_for(&tidegate, "GET /healthz", |answer| answer.status == 200);
    eprintln!("stuck and healthy again within {:?}", start.elapsed());
}
