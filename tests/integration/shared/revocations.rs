//! Revoked logins, which all replicas refuse.

use std::fs;
use std::time::{Duration, Instant};

use super::throttle::wait_until_used;
use crate::harness::http1::{self, Client, Response};
use crate::harness::recorder::Recorder;
use crate::harness::redis::Redis;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::succeed;
use crate::harness::{DEADLINE, admin, basic};

const ALICE: (&str, &str) = ("alice", "wonderland");
const BOB: (&str, &str) = ("bob", "builder");

/// Until when a revocation must have reached all replicas.
const SOON: Duration = Duration::from_secs(1);

fn settings(engine: &Redis, upstream: &str) -> Settings {
    let settings = admin::settings(upstream)
        .set("auth.mode", r#""token""#)
        .set("auth.throttle.failures", "3")
        .set("token.service", r#""registry.test""#)
        .set("token.key", r#""token.key""#);
    engine.shared_by(settings)
}

/// A replica, which uses the engine already.
fn first(engine: &Redis, recorder: &Recorder) -> Tidegate {
    let settings = settings(engine, &recorder.url());
    settings.write_users(&[ALICE, BOB]);
    let key = settings.path().join("token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", &key]);
    let tidegate = Tidegate::start(settings);
    wait_for_list(&tidegate);
    tidegate
}

/// Waits until a replica knows what was revoked.
fn wait_for_list(tidegate: &Tidegate) {
    wait_until_used(tidegate);
    let (start, bob) = (Instant::now(), login(tidegate, BOB));
    while refresh(tidegate, &bob).status == 503 {
        assert!(start.elapsed() < DEADLINE, "the list is not read");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The settings of another replica: with the same users and the same key, and a list of its own.
fn like(first: &Tidegate, engine: &Redis, recorder: &Recorder) -> Settings {
    let settings = settings(engine, &recorder.url());
    for file in ["htpasswd", "token.key", "token.crt"] {
        fs::copy(first.settings.path().join(file), settings.path().join(file)).unwrap();
    }
    settings
}

fn another(first: &Tidegate, engine: &Redis, recorder: &Recorder) -> Tidegate {
    let tidegate = Tidegate::start(like(first, engine, recorder));
    wait_for_list(&tidegate);
    tidegate
}

/// The identity token that docker keeps.
fn login(tidegate: &Tidegate, (user, password): (&str, &str)) -> String {
    let field = format!("Authorization: {}", basic(user, password));
    let response = Client::connect(tidegate).exchange("GET /auth/token?offline_token=true", &[&field]);
    let given: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    given["refresh_token"].as_str().unwrap_or_else(|| panic!("{given}")).to_owned()
}

fn refresh(tidegate: &Tidegate, kept: &str) -> Response {
    let form = format!("grant_type=refresh_token&refresh_token={kept}");
    let length = format!("Content-Length: {}", form.len());
    let kind = "Content-Type: application/x-www-form-urlencoded";
    let mut client = Client::connect(tidegate);
    client.send(http1::head("POST /auth/token", &[kind, &length]));
    client.send(form);
    client.response(false).unwrap()
}

fn revoke(tidegate: &Tidegate, whom: &str) -> Instant {
    let key = tidegate.settings.path().join("token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", "revoke", &key, whom]);
    Instant::now()
}

/// Waits until a replica refuses an identity token.
fn wait_for_refusal(tidegate: &Tidegate, kept: &str) {
    let start = Instant::now();
    loop {
        let response = refresh(tidegate, kept);
        match response.status {
            200 => assert!(start.elapsed() < DEADLINE, "it is still accepted"),
            401 => return assert!(response.text().contains("the login was revoked"), "{}", response.text()),
            // After some questions of this kind.
            429 => return,
            status => panic!("{status}: {}", response.text()),
        }
        // There is no event to wait for: this is how a client finds out.
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_login_that_one_replica_revokes_is_refused_by_all_within_a_second() {
    let (engine, recorder) = (Redis::start(), Recorder::start());
    let one = first(&engine, &recorder);
    let replicas = [another(&one, &engine, &recorder), another(&one, &engine, &recorder), one];
    let [two, three, one] = &replicas;
    let monitor = engine.monitor();
    let (alice, bob) = (login(one, ALICE), login(two, BOB));
    for replica in &replicas {
        assert_eq!((refresh(replica, &alice).status, refresh(replica, &bob).status), (200, 200));
    }
    let since = revoke(one, "alice");
    for replica in &replicas {
        wait_for_refusal(replica, &alice);
    }
    let took = since.elapsed();
    assert!(took < SOON, "{took:?}");
    for replica in &replicas {
        assert_eq!(refresh(replica, &bob).status, 200);
    }
    let alice = login(two, ALICE);
    for replica in &replicas {
        assert_eq!(refresh(replica, &alice).status, 200, "a later login");
    }
    let since = revoke(three, "--all");
    for kept in [&alice, &bob] {
        for replica in &replicas {
            wait_for_refusal(replica, kept);
        }
    }
    let took = since.elapsed();
    assert!(took < SOON, "{took:?}");
    let text = monitor.lines.so_far().join("\n");
    for secret in ["alice", "wonderland", &alice, &bob] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
    let left: u64 = engine.cli(&["PTTL", "tidegate:revoked"]).parse().unwrap();
    assert!(left > 1000, "{left}");
}

#[test]
fn an_ended_login_is_throttled_at_all_replicas_together() {
    let (engine, recorder) = (Redis::start(), Recorder::start());
    let one = first(&engine, &recorder);
    let two = another(&one, &engine, &recorder);
    let alice = login(&one, ALICE);
    revoke(&one, "alice");
    wait_for_refusal(&two, &alice);
    for status in [401, 401, 429] {
        assert_eq!(refresh(&one, &alice).status, status);
    }
    assert_eq!(refresh(&two, &alice).status, 429);
    login(&two, ALICE);
}

#[test]
fn what_was_revoked_holds_without_the_engine_and_comes_back_to_an_empty_one() {
    let (mut engine, recorder) = (Redis::start(), Recorder::start());
    let one = first(&engine, &recorder);
    let two = another(&one, &engine, &recorder);
    // Before the key says that it has a list: this replica never has one.
    let later = like(&one, &engine, &recorder);
    let (alice, bob) = (login(&one, ALICE), login(&one, BOB));
    revoke(&one, "alice");
    wait_for_refusal(&two, &alice);
    engine.kill();
    assert_ne!(refresh(&two, &alice).status, 200);
    assert_eq!(refresh(&two, &bob).status, 200);
    // A reload forgets nothing.
    two.signal(rustix::process::Signal::HUP);
    two.log.wait_for("the reload", |line| line.contains("reloaded"));
    assert_ne!(refresh(&two, &alice).status, 200);

    // A replica that has never read the list does not know.
    let three = Tidegate::start(later);
    let response = refresh(&three, &bob);
    assert_eq!(response.status, 503, "{}", response.text());
    // The one with the list of its own is gone when the engine comes back, empty.
    drop(one);
    engine.restart();
    wait_for_list(&three);
    assert_ne!(refresh(&three, &alice).status, 200);
    assert_eq!(refresh(&three, &bob).status, 200);
}
