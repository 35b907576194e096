//! When a service is asked, and what it gets.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use super::{SECRET, ask, line, login, settings};
use crate::harness::fake::Fake;
use crate::harness::http1::Client;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::Tidegate;
use crate::harness::{PASSWORD, USER, basic, tools};

/// A service for which one password is right, and the heads of its requests.
fn service() -> (Fake, Arc<Mutex<Vec<Vec<String>>>>) {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = heads.clone();
    let fake = Fake::start(move |conversation| {
        let Some(head) = conversation.read_head() else { return };
        let right = format!("authorization: {}", basic("alice", "secret"));
        let is_right = head.iter().any(|line| line.eq_ignore_ascii_case(&right));
        seen.lock().unwrap().push(head);
        let status = if is_right { "200 OK" } else { "401 Unauthorized" };
        conversation.write(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes());
    });
    (fake, heads)
}

#[test]
fn header_spoofing_in_forward_auth() {
    let ((fake, heads), recorder) = (service(), Recorder::start());
    let settings = settings(&recorder.url(), &fake.url()).set("auth.http.secret", r#""secret""#);
    let tidegate = Tidegate::start(settings);
    let spoofed = [
        "Remote-User: testuser",
        "Remote-Groups: dev",
        "X-Forwarded-User: testuser",
        "X-Forwarded-For: 192.0.2.1",
        "X-Original-URL: /",
        "X-Tidegate-Secret: a guess",
        "Cookie: session=1",
        "Content-Length: 0",
        "User-Agent: spoofer/1",
    ];
    let push = "PUT /v2/team/app/manifests/v1";
    assert_eq!(ask(&tidegate, push, "alice", "secret", &spoofed).status, 403);
    assert_eq!(line(&tidegate, "spoofer/1")["user"], "alice");
    let mut lines: Vec<String> =
        heads.lock().unwrap().concat().into_iter().map(|line| line.to_ascii_lowercase()).collect();
    lines.sort_unstable();
    let host = fake.address;
    let agent = format!("user-agent: tidegate/{}", env!("CARGO_PKG_VERSION"));
    let password = format!("authorization: {}", basic("alice", "secret")).to_ascii_lowercase();
    let expected = [
        password.as_str(),
        "connection: close",
        "get / http/1.1",
        &format!("host: {host}"),
        &agent,
        &format!("x-tidegate-secret: {SECRET}"),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn many_requests_of_one_user_are_one_question() {
    let ((fake, heads), recorder) = (service(), Recorder::start());
    let tidegate = Tidegate::start(settings(&recorder.url(), &fake.url()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = Client::connect(&tidegate);
                let credentials = format!("Authorization: {}", basic("alice", "secret"));
                for _ in 0..25 {
                    assert_eq!(client.exchange("GET /v2/", &[&credentials]).status, 200);
                }
            });
        }
    });
    assert_eq!(heads.lock().unwrap().len(), 1);
    for _ in 0..3 {
        assert_eq!(login(&tidegate, "alice", "wrong").status, 401);
    }
    assert_eq!(heads.lock().unwrap().len(), 2, "a wrong password is remembered too");
}

#[test]
fn who_is_not_remembered_is_asked_for_each_time() {
    let ((fake, heads), recorder) = (service(), Recorder::start());
    let settings = settings(&recorder.url(), &fake.url()).set("auth.cache_ttl", r#""0s""#);
    let tidegate = Tidegate::start(settings);
    for _ in 0..3 {
        assert_eq!(login(&tidegate, "alice", "secret").status, 200);
    }
    assert_eq!(heads.lock().unwrap().len(), 3);
}

#[test]
fn nobody_else_hears_a_password() {
    let ((fake, heads), recorder) = (service(), Recorder::start());
    let tidegate = Tidegate::start(settings(&recorder.url(), &fake.url()));
    assert_eq!(login(&tidegate, USER, PASSWORD).status, 200);
    assert_eq!(login(&tidegate, USER, "wrong").status, 401, "a user of the file");
    assert_eq!(login(&tidegate, "alice", "").status, 401);
    assert_eq!(login(&tidegate, "alice", "a\0b").status, 401);
    assert_eq!(heads.lock().unwrap().len(), 0);
    let redirected = Arc::new(AtomicUsize::new(0));
    let count = redirected.clone();
    let target = Fake::start_counting(move || _ = count.fetch_add(1, Ordering::Relaxed), |_| ());
    let answer =
        format!("HTTP/1.1 307 Temporary Redirect\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", target.url());
    let fake = Fake::scripted(answer, true);
    let tidegate = Tidegate::start(settings(&recorder.url(), &fake.url()));
    assert_eq!(login(&tidegate, "alice", "secret").status, 401);
    assert_eq!(redirected.load(Ordering::Relaxed), 0);
}

#[test]
fn a_reload_asks_the_new_service() {
    let ((first, heads), recorder) = (service(), Recorder::start());
    let tidegate = Tidegate::start(settings(&recorder.url(), &first.url()));
    assert_eq!(login(&tidegate, "alice", "secret").status, 200);
    let (second, later) = service();
    let text = tidegate.settings.toml().replace(&first.url(), &second.url());
    std::fs::write(tidegate.settings.file(), text).unwrap();
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
    assert_eq!(login(&tidegate, "alice", "secret").status, 200);
    assert_eq!((heads.lock().unwrap().len(), later.lock().unwrap().len()), (1, 1));
}

/// The answer of `tidegate check` for a service that always answers alike.
fn check(status: &str) -> tools::Run {
    let fake = Fake::scripted(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"), true);
    let settings = settings("http://127.0.0.1:1", &fake.url());
    std::fs::write(settings.file(), settings.toml()).unwrap();
    tools::run(env!("CARGO_BIN_EXE_tidegate"), &["check", "--config", settings.file().to_str().unwrap()])
}

#[test]
fn a_service_that_lets_in_everybody_is_found_before_it_matters() {
    let judging = check("401 Unauthorized");
    let told = judging.stdout + &judging.stderr;
    assert!(
        judging.success && told.contains("it answers 401 Unauthorized to a request without a password"),
        "{told}"
    );
    let open = check("200 OK");
    let told = open.stdout + &open.stderr;
    assert!(told.contains("so it lets in everybody"), "{told}");
}
