//! A process that has used up its descriptors. New clients wait and connecting to the registry
//! fails, but only until descriptors are free. Nobody who was removed stays in meanwhile.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::succeed;
use crate::harness::{DEADLINE, basic};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";

fn on_one_core(upstream: &str) -> Tidegate {
    let settings = Settings::for_upstream(upstream)
        .set("server.threads", "1")
        .set("limits.handshake_timeout", r#""60s""#)
        .set("limits.header_timeout", r#""60s""#);
    Tidegate::start(settings)
}

#[test]
fn without_descriptors_new_clients_wait_and_connected_ones_are_served() {
    /// Pauses of accepting to wait for, and the length of each.
    const PAUSES: u32 = 4;
    const PAUSE: Duration = Duration::from_millis(200);
    let recorder = Recorder::start();
    let tidegate = on_one_core(&recorder.url());
    let mut connected = Client::connect(&tidegate);
    assert_eq!(connected.exchange("GET /v2/", &[AUTH]).status, 200);
    tidegate.limit_descriptors(tidegate.descriptors() + 4);
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(tidegate.address).unwrap()).collect();
    let pause = |line: &str| line.contains("cannot accept connections");
    tidegate.log.wait_for("the first pause", pause);
    let (start, used) = (Instant::now(), tidegate.cpu_seconds());
    let mut seen = tidegate.log.len();
    for _ in 0..PAUSES {
        assert_eq!(
            connected.exchange("GET /v2/", &[AUTH]).status,
            200,
            "a connected client needs no descriptor"
        );
        tidegate.log.wait_after(seen, "another pause", pause);
        seen = tidegate.log.len();
    }
    let (time, used) = (start.elapsed(), tidegate.cpu_seconds() - used);
    assert!(time >= PAUSE * (PAUSES - 1), "{PAUSES} pauses in {time:?}");
    assert!(used < time.as_secs_f64() / 2.0, "{used} s of CPU in {time:?}");
    std::thread::scope(|scope| {
        let new = scope.spawn(|| Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status);
        assert_eq!(connected.exchange("GET /v2/", &[AUTH]).status, 200);
        assert!(!new.is_finished(), "there is no descriptor for a new client");
        drop(silent);
        assert_eq!(new.join().unwrap(), 200);
    });
    assert_eq!(connected.exchange("GET /v2/", &[AUTH]).status, 200);
}

#[test]
fn without_a_descriptor_for_the_registry_a_request_gets_502_until_one_is_free() {
    // Every request needs a connection of its own.
    let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}";
    let registry = Fake::scripted(answer, true);
    let tidegate = on_one_core(&registry.url());
    let (mut client, mut other) = (Client::connect(&tidegate), Client::connect(&tidegate));
    assert_eq!(other.exchange("GET /v2/", &[AUTH]).status, 200);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    // Descriptors below those of the two clients may be free. The limit sinks until none is.
    let mut room = tidegate.descriptors() + 1;
    let mut refusal = client.exchange("GET /v2/", &[AUTH]);
    while refusal.status == 200 {
        room -= 1;
        tidegate.limit_descriptors(room);
        refusal = client.exchange("GET /v2/", &[AUTH]);
    }
    assert_eq!(refusal.status, 502, "{}", refusal.text());
    assert_eq!(refusal.error_code(), "UNAVAILABLE");
    tidegate.log.wait_for("the reason", |line| line.contains("cannot connect: Too many open files"));
    drop(other);
    let start = Instant::now();
    while client.exchange("GET /v2/", &[AUTH]).status != 200 {
        assert!(start.elapsed() < DEADLINE, "the free descriptor is not used");
    }
}

/// Uses up all descriptors with silent clients. They are free again when the result is dropped.
fn exhaust(tidegate: &Tidegate) -> Vec<TcpStream> {
    tidegate.limit_descriptors(tidegate.descriptors() + 4);
    let silent = (0..20).map(|_| TcpStream::connect(tidegate.address).unwrap()).collect();
    tidegate.log.wait_for("the end of descriptors", |line| line.contains("cannot accept connections"));
    silent
}

#[test]
fn without_descriptors_a_removed_user_is_refused_at_the_next_request_and_the_others_are_served() {
    let recorder = Recorder::start();
    let tidegate = on_one_core(&recorder.url());
    tidegate.settings.write_users(&[("testuser", "testpass"), ("other", "secret")]);
    let other = format!("Authorization: {}", basic("other", "secret"));
    let mut client = Client::connect(&tidegate);
    for user in [AUTH, &other] {
        assert_eq!(client.exchange("GET /v2/", &[user]).status, 200);
    }
    let _silent = exhaust(&tidegate);
    tidegate.settings.write_users(&[("other", "secret")]);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 401);
    // The stored hash is another one, so the password is hashed again.
    assert_eq!(client.exchange("GET /v2/", &[&other]).status, 200);
    tidegate.settings.write_users(&[("testuser", "testpass")]);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    assert_eq!(client.exchange("GET /v2/", &[&other]).status, 401);
}

#[test]
fn without_descriptors_a_revoked_login_is_refused_at_the_next_request() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.threads", "1")
        .set("limits.handshake_timeout", r#""60s""#)
        .set("auth.mode", r#""token""#)
        .set("token.service", r#""registry.test""#)
        .set("token.key", r#""token.key""#);
    let key = settings.path().join("token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", &key]);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let answer = client.exchange("GET /auth/token?service=registry.test&offline_token=true", &[AUTH]);
    let answer: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
    let form = format!(
        "grant_type=refresh_token&service=registry.test&refresh_token={}",
        answer["refresh_token"].as_str().unwrap()
    );
    let mut refresh = || {
        let length = format!("Content-Length: {}", form.len());
        let fields = ["Content-Type: application/x-www-form-urlencoded", &length];
        client.send(http1::head("POST /auth/token", &fields));
        client.send(form.as_bytes());
        client.response(false).unwrap().status
    };
    assert_eq!(refresh(), 200);
    let _silent = exhaust(&tidegate);
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", "revoke", &key, "testuser"]);
    assert_eq!(refresh(), 401);
}

#[test]
fn where_a_changed_file_cannot_be_read_at_all_requests_are_refused_until_it_can() {
    const ENOUGH: usize = 1000;
    let recorder = Recorder::start();
    let tidegate = on_one_core(&recorder.url());
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    // Not even the descriptor in reserve has a number below this limit.
    tidegate.limit_descriptors(1);
    tidegate.settings.write_users(&[("other", "secret")]);
    for _ in 0..3 {
        let refusal = client.exchange("GET /v2/", &[AUTH]);
        assert_eq!((refusal.status, refusal.error_code().as_str()), (503, "UNAVAILABLE"));
    }
    tidegate.log.wait_for("the reason", |line| line.contains("the htpasswd file cannot be read"));
    tidegate.limit_descriptors(ENOUGH);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 401);
}
