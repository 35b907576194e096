//! The key of tokens and the secret of session tickets that replicas agree upon.

use std::fs;

use super::{settings, until, wait_until_used};
use crate::harness::http1::{Client, authorized};
use crate::harness::openssl::talk;
use crate::harness::redis::{ENGINE_PASSWORD, Redis};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};

fn with_tokens(upstream: &str, engine: &Redis) -> Settings {
    settings(upstream, engine).set("auth.mode", r#""token""#)
}

/// The header with a token of this replica.
fn token(tidegate: &Tidegate) -> String {
    let mut client = Client::connect(tidegate);
    let answer = client.exchange("GET /auth/token?service=localhost", &[&authorized()]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let token: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    format!("Authorization: Bearer {}", token["token"].as_str().unwrap())
}

fn accepts(tidegate: &Tidegate, token: &str) -> bool {
    Client::connect(tidegate).exchange("GET /v2/", &[token]).status == 200
}

#[test]
fn a_token_of_one_replica_is_accepted_by_the_others() {
    let (registry, engine) = (Registry::start(), Redis::start_tls());
    let start = || Tidegate::start(with_tokens(&registry.url(), &engine));
    let (first, mut second) = (start(), start());
    let given = token(&first);
    assert!(accepts(&second, &given) && accepts(&first, &token(&second)));
    second.restart();
    assert!(accepts(&second, &given));
    // After a reload, too.
    let seen = first.log.len();
    first.signal(rustix::process::Signal::HUP);
    first.log.wait_after(seen, "the reload", |line| line.contains("reloaded cause"));
    assert!(accepts(&first, &given) && accepts(&second, &token(&first)));
}

#[test]
fn a_session_of_one_replica_is_resumed_by_the_others() {
    let (registry, engine) = (Registry::start(), Redis::start());
    let (one, other) = (settings(&registry.url(), &engine), settings(&registry.url(), &engine));
    for file in ["server.crt", "server.key", "ca.crt"] {
        fs::copy(one.path().join(file), other.path().join(file)).unwrap();
    }
    let (one, other) = (Tidegate::start(one), Tidegate::start(other));
    let session = one.settings.path().join("session");
    let session = session.to_str().unwrap();
    talk(&one, &["-tls1_3", "-sess_out", session]);
    assert!(talk(&other, &["-tls1_3", "-sess_in", session]).contains("Reused, TLSv1"));
}

#[test]
fn a_replica_that_starts_without_the_engine_joins_the_others_later() {
    let (registry, mut engine) = (Registry::start(), Redis::start());
    let first = Tidegate::start(with_tokens(&registry.url(), &engine));
    engine.kill();
    let second = Tidegate::start(with_tokens(&registry.url(), &engine));
    second.log.wait_for("the warning", |line| line.contains("the shared state is away at the start"));
    let (of_first, of_second) = (token(&first), token(&second));
    assert!(!accepts(&second, &of_first) && !accepts(&first, &of_second));
    engine.restart();
    wait_until_used(&first);
    wait_until_used(&second);
    until(|| accepts(&second, &token(&first)) && accepts(&first, &token(&second)), |both| *both);
    // Each still knows what it has given out itself.
    assert!(accepts(&first, &of_first) && accepts(&second, &of_second));
}

#[test]
fn the_engine_is_told_no_secret() {
    let (registry, engine) = (Registry::start(), Redis::start());
    let monitor = engine.monitor();
    let start = || Tidegate::start(with_tokens(&registry.url(), &engine));
    let (first, second) = (start(), start());
    let given = token(&first);
    assert!(accepts(&second, &given));
    for key in ["token-key", "tickets"] {
        monitor.lines.wait_for("the secret", |line| line.contains(key) && line.contains("\"NX\""));
    }
    let signature = given.rsplit('.').next().unwrap();
    // What a private key on P-256 has in its PKCS#8, as MONITOR writes it.
    let curve = r"\x06\b*\x86H\xce=\x03\x01\a";
    for line in monitor.lines.so_far() {
        for secret in [ENGINE_PASSWORD, signature, curve, "testuser", "testpass"] {
            assert!(!line.contains(secret), "{line}");
        }
    }
}
