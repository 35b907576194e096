//! The limit on failed logins, which replicas have together.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use crate::harness::admin::{self, ask, wait_for};
use crate::harness::http1::{Client, Response, head};
use crate::harness::recorder::Recorder;
use crate::harness::redis::{ENGINE_PASSWORD, Redis};
use crate::harness::tidegate::Tidegate;
use crate::harness::{DEADLINE, PASSWORD, USER, basic};

const REPLICAS: usize = 3;
const ADDRESS: &str = "192.0.2.77";

/// Waits until a replica uses the engine.
pub(super) fn wait_until_used(tidegate: &Tidegate) {
    wait_for(tidegate, "GET /readyz", |answer| answer.json()["checks"]["shared"] == "ok");
}

fn metric(tidegate: &Tidegate, name: &str) -> f64 {
    let page = ask(tidegate, "GET /metrics", &[]).body;
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Replicas behind a trusted load balancer on this machine, which use the engine already.
fn replicas(engine: &Redis, failures: usize) -> (Recorder, [Tidegate; REPLICAS]) {
    let recorder = Recorder::start();
    let start = || {
        let settings = admin::settings(&recorder.url())
            .set("server.trusted_proxies", r#"["127.0.0.1"]"#)
            .set("auth.throttle.failures", &failures.to_string());
        let tidegate = Tidegate::start(engine.shared_by(settings));
        wait_until_used(&tidegate);
        tidegate
    };
    let replicas = [start(), start(), start()];
    (recorder, replicas)
}

fn send(client: &mut Client, address: &str, user: &str, password: &str) -> Response {
    let credentials = format!("Authorization: {}", basic(user, password));
    client.exchange("GET /v2/", &[&credentials, &format!("X-Forwarded-For: {address}")])
}

fn login(tidegate: &Tidegate, address: &str, user: &str, password: &str) -> u16 {
    send(&mut Client::connect(tidegate), address, user, password).status
}

/// Sends 1,020 wrong passwords of one user over 60 connections at once, and counts the answers.
fn guess(replicas: &[Tidegate], user: &str) -> BTreeMap<u16, usize> {
    const CONNECTIONS: usize = 60;
    const EACH: usize = 17;
    let start = Barrier::new(CONNECTIONS);
    let guesses = |connection: usize| {
        let mut client = Client::connect(&replicas[connection % replicas.len()]);
        start.wait();
        let guess = |number| {
            let response = send(&mut client, ADDRESS, user, &format!("guess {connection} {number}"));
            if response.status == 429 {
                let after: u32 = response.all("retry-after")[0].parse().unwrap();
                assert!((1..=60).contains(&after), "{after}");
            }
            response.status
        };
        (0..EACH).map(guess).collect::<Vec<_>>()
    };
    let guesses = &guesses;
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..CONNECTIONS).map(|connection| scope.spawn(move || guesses(connection))).collect();
        let mut counts = BTreeMap::new();
        for status in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            *counts.entry(status).or_default() += 1;
        }
        counts
    })
}

#[test]
fn a_thousand_wrong_passwords_at_three_replicas_are_throttled_as_at_one() {
    let engine = Redis::start();
    let (_recorder, replicas) = replicas(&engine, 10);
    let failures = || {
        let name = "tidegate_shared_failures_total{asked=\"throttle\"}";
        replicas.iter().map(|replica| metric(replica, name)).sum::<f64>()
    };
    // On a busy machine an answer of the engine may be late. Each replica then goes on alone, which
    // is not the case here.
    let counts = [USER, "other", "nobody"].into_iter().find_map(|user| {
        let before = failures();
        let counts = guess(&replicas, user);
        (failures() == before).then_some(counts)
    });
    assert_eq!(counts.expect("the engine answers in time"), BTreeMap::from([(401, 10), (429, 1010)]));
    let computed = |replica| metric(replica, "tidegate_password_hash_seconds_count");
    assert!(replicas.iter().map(computed).sum::<f64>() <= 30.0, "of three users at most");
}

#[test]
fn a_delay_holds_at_every_replica_and_who_was_right_before_passes() {
    let engine = Redis::start();
    let (_recorder, [first, second, third]) = replicas(&engine, 3);
    assert_eq!(login(&second, "192.0.2.1", USER, PASSWORD), 200);
    for wrong in ["a", "b", "c"] {
        assert_eq!(login(&first, ADDRESS, USER, wrong), 401, "{wrong}");
    }
    for replica in [&first, &second, &third] {
        assert_eq!(login(replica, ADDRESS, USER, PASSWORD), 429, "the second one knows the password");
        assert_eq!(login(replica, ADDRESS, USER, "d"), 429);
    }
    assert_eq!(login(&second, "192.0.2.1", USER, PASSWORD), 200);
    assert_eq!(login(&third, "192.0.2.2", USER, PASSWORD), 200, "another network");
    assert_eq!(login(&third, ADDRESS, "somebody", "wrong"), 401, "another user");
}

#[test]
fn right_passwords_leave_nothing_and_no_name_is_in_the_engine() {
    let engine = Redis::start();
    let (_recorder, [first, second, _third]) = replicas(&engine, 3);
    let monitor = engine.monitor();
    for replica in [&first, &second] {
        for _ in 0..10 {
            assert_eq!(login(replica, ADDRESS, USER, PASSWORD), 200);
        }
    }
    assert_eq!(login(&first, ADDRESS, "invented-name", "wrong-password"), 401);
    let keys = || {
        let keys = engine.cli(&["KEYS", "tidegate:throttle:*"]);
        keys.lines().map(str::to_owned).filter(|key| !key.is_empty()).collect::<Vec<_>>()
    };
    // The refund comes after the answer.
    let start = Instant::now();
    while keys().len() != 1 {
        assert!(start.elapsed() < DEADLINE, "{:?}", keys());
    }
    engine.cli(&["ECHO", "the end"]);
    monitor.lines.wait_for("the end", |line| line.contains("the end"));
    let left: u32 = engine.cli(&["PTTL", &keys()[0]]).parse().unwrap();
    assert!((1..=60_000).contains(&left), "{left}");
    let charges = |line: &&String| line.contains("\"EVALSHA\"") && line.contains(":throttle:");
    let lines = monitor.lines.so_far();
    // Two charges and two refunds for right passwords, however often they were sent; one charge for
    // the wrong one. The first of each kind is repeated with the text of the script.
    assert!((5..=8).contains(&lines.iter().filter(charges).count()), "{lines:#?}");
    let text = lines.join("\n");
    for secret in [USER, PASSWORD, ADDRESS, "invented-name", "wrong-password", ENGINE_PASSWORD] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[test]
fn without_the_engine_each_replica_counts_alone_and_then_together_again() {
    let mut engine = Redis::start();
    let (_recorder, [first, second, _third]) = replicas(&engine, 3);
    let fail = |replica: &Tidegate, user: &str| {
        for wrong in ["a", "b", "c"] {
            assert_eq!(login(replica, ADDRESS, user, wrong), 401, "{user} {wrong}");
        }
        assert_eq!(login(replica, ADDRESS, user, "d"), 429, "{user}");
    };
    fail(&first, USER);
    assert_eq!(login(&second, ADDRESS, USER, PASSWORD), 429);
    engine.kill();
    for replica in [&first, &second] {
        assert_eq!(login(replica, ADDRESS, USER, PASSWORD), 429, "known delays go on");
        assert_eq!(login(replica, "192.0.2.1", USER, PASSWORD), 200);
        fail(replica, "somebody");
    }
    engine.restart();
    wait_until_used(&first);
    wait_until_used(&second);
    fail(&first, "another");
    assert_eq!(login(&second, ADDRESS, "another", "d"), 429);
    assert_eq!(login(&second, ADDRESS, "somebody", "d"), 429, "what was counted alone still counts");
}

#[test]
fn an_engine_that_stands_still_holds_no_login_up() {
    let engine = Redis::start();
    let (_recorder, [first, ..]) = replicas(&engine, 3);
    engine.freeze();
    // The first one waits for the engine, and the others know that it is away. Each waits for the
    // machine too.
    for (user, password, status) in [(USER, PASSWORD, 200), (USER, "wrong", 401), ("other", "wrong", 401)] {
        let start = Instant::now();
        assert_eq!(login(&first, ADDRESS, user, password), status, "{user}");
        assert!(start.elapsed() < Duration::from_secs(1), "{user} waited {:?}", start.elapsed());
    }
    engine.thaw();
}

#[test]
fn requests_with_one_right_password_at_once_ask_once() {
    let engine = Redis::start();
    let (_recorder, [first, ..]) = replicas(&engine, 1);
    let mut clients: Vec<Client> = (0..20).map(|_| Client::connect(&first)).collect();
    let credentials = format!("Authorization: {}", basic(USER, PASSWORD));
    for client in &mut clients {
        client.send(head("GET /v2/", &[&credentials]));
    }
    for client in &mut clients {
        assert_eq!(client.response(false).unwrap().status, 200);
    }
}
