//! Whether the engine can be used, and who is told.

use std::fs;

use super::{SOON, is_used, says};
use crate::harness::admin::{self, ask, wait_for};
use crate::harness::http1::Client;
use crate::harness::redis::{ENGINE_PASSWORD, Redis};
use crate::harness::registry::Registry;
use crate::harness::tidegate::Tidegate;
use crate::harness::{USER, basic};

fn metric(tidegate: &Tidegate, name: &str) -> f64 {
    let page = ask(tidegate, "GET /metrics", &[]).body;
    let line = page.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn an_engine_that_comes_and_goes_is_noticed() {
    for start in [Redis::start, Redis::start_tls] {
        let (registry, mut engine) = (Registry::start(), start());
        let tidegate = Tidegate::start(engine.shared_by(admin::settings(&registry.url())));
        wait_for(&tidegate, "GET /readyz", is_used);
        assert_eq!(metric(&tidegate, "tidegate_shared_up "), 1.0);

        engine.freeze();
        wait_for(&tidegate, "GET /readyz", says("it does not answer within"));
        assert_eq!(metric(&tidegate, "tidegate_shared_up "), 0.0);
        // A replica without the engine is a replica.
        wait_for(&tidegate, "GET /readyz", |answer| answer.status == 200);
        let status = ask(&tidegate, "GET /api/status", &[]).json();
        assert_eq!(status["shared"]["up"], false, "{status}");
        engine.thaw();
        let back = wait_for(&tidegate, "GET /readyz", is_used);
        assert!(back < SOON, "{back:?}");

        engine.kill();
        wait_for(&tidegate, "GET /readyz", says("it cannot be reached: Connection refused"));
        engine.restart();
        let back = wait_for(&tidegate, "GET /readyz", is_used);
        assert!(back < SOON, "{back:?}");
        assert_eq!(ask(&tidegate, "GET /api/status", &[]).json()["shared"]["up"], true);
        let asked = ["secrets", "tag_locks"]
            .map(|asked| format!("tidegate_shared_failures_total{{asked=\"{asked}\"}}"));
        assert!(asked.iter().map(|name| metric(&tidegate, name)).sum::<f64>() >= 1.0);

        let log = tidegate.log.so_far();
        let warnings: Vec<_> = log.iter().filter(|line| line.contains("the shared state is away")).collect();
        assert_eq!(warnings.len(), 1, "once a minute: {log:#?}");
        assert!(!log.join("\n").contains(ENGINE_PASSWORD));
    }
}

#[test]
fn an_engine_that_refuses_the_login_is_named_with_a_remedy() {
    let (registry, engine) = (Registry::start(), Redis::start());
    let settings = engine.shared_by(admin::settings(&registry.url()));
    let password = settings.path().join("wrong");
    fs::write(&password, "not-the-password").unwrap();
    let mut settings = settings.set("shared.password_file", "\"wrong\"");
    settings = settings.set("shared.prefix", "\"other\"");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    fs::set_permissions(&password, mode).unwrap();
    let tidegate = Tidegate::start(settings);
    wait_for(&tidegate, "GET /readyz", says("correct shared.password_file"));
    assert!(!tidegate.log.so_far().join("\n").contains("not-the-password"));
}

#[test]
fn a_user_of_the_engine_needs_what_the_manual_says_and_no_more() {
    let acl = "user door on >engine-password-of-the-tests resetkeys ~tidegate:* resetchannels &tidegate:* +@read +@write \
               +@scripting +@connection +@pubsub +time +info";
    let (registry, engine) = (Registry::start(), Redis::start_with(acl));
    let settings = engine.shared_by(admin::settings(&registry.url()));
    let url = engine.url().replace("localhost", "door@localhost");
    let tidegate = Tidegate::start(settings.set("shared.url", &format!("\"{url}/0\"")));
    wait_for(&tidegate, "GET /readyz", is_used);
    assert!(engine.cli(&["CLIENT", "LIST"]).contains("user=door"));
    let credentials = format!("Authorization: {}", basic(USER, "wrong"));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[&credentials]).status, 401);
    assert!(engine.cli(&["KEYS", "tidegate:throttle:*"]).starts_with("tidegate:throttle:"));
    // Every second.
    engine.monitor().lines.wait_for("a check", |line| line.contains("\"SET\" \"tidegate:check\""));
}

#[test]
fn an_engine_that_cannot_be_written_to_is_not_used() {
    let (registry, engine) = (Registry::start(), Redis::start_with("replicaof 127.0.0.1 1"));
    let tidegate = Tidegate::start(engine.shared_by(admin::settings(&registry.url())));
    wait_for(&tidegate, "GET /readyz", says("READONLY"));
    engine.cli(&["REPLICAOF", "NO", "ONE"]);
    wait_for(&tidegate, "GET /readyz", is_used);
    engine.cli(&["REPLICAOF", "127.0.0.1", "1"]);
    wait_for(&tidegate, "GET /readyz", says("READONLY"));
}
