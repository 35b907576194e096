//! What clients get for each answer of a service.

use super::{ask, line, login, settings};
use crate::harness::fake::Fake;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::Tidegate;

fn start(fake: &Fake) -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let settings = settings(&recorder.url(), &format!("{}/check", fake.url()))
        .set("auth.http.timeout", r#""500ms""#)
        .set("auth.throttle.failures", "3");
    (recorder, Tidegate::start(settings))
}

fn answering(answer: &str) -> Fake {
    Fake::scripted(format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n"), true)
}

#[test]
fn a_refusal_or_a_login_page_is_a_wrong_password() {
    for answer in ["401 Unauthorized", "403 Forbidden", "302 Found\r\nLocation: https://auth.internal/login"]
    {
        let fake = answering(answer);
        let (recorder, tidegate) = start(&fake);
        for attempt in 0..3 {
            let response = login(&tidegate, "alice", &format!("guess {attempt}"));
            assert_eq!((response.status, response.all("www-authenticate").len()), (401, 1), "{answer}");
            assert!(response.all("location").is_empty(), "{answer}");
        }
        assert_eq!(login(&tidegate, "alice", "guess 3").status, 429, "{answer}: they count");
        assert!(recorder.record().requests.iter().all(|seen| seen.all("authorization").is_empty()));
    }
}

#[test]
fn what_says_nothing_about_the_password_is_tried_again_later_and_counts_for_nobody() {
    let (ok, named) = ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "Remote-User: alice\r\n");
    for (answer, cause) in [
        ("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_owned(), "it answered 500"),
        ("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), "it answered 404"),
        (format!("{ok}{named}{named}\r\n"), "remote-user twice"),
        (format!("{ok}Remote-User: gitlab:team/app\r\n\r\n"), "a user name cannot hold a colon"),
        (format!("{ok}Remote-User: a\tb\r\n\r\n"), "a control character"),
        ("220 mail.example.com ESMTP\r\n".to_owned(), "the connection broke"),
    ] {
        let fake = Fake::scripted(answer.clone(), true);
        let (_recorder, tidegate) = start(&fake);
        for _ in 0..6 {
            let response = login(&tidegate, "alice", "secret");
            assert_eq!((response.status, response.all("retry-after").len()), (503, 1), "{answer}");
        }
        let told = tidegate.log.wait_for(cause, |line| line.contains(cause));
        assert!(!told.contains("secret"), "{told}");
        let told = tidegate.log.so_far().into_iter().filter(|line| line.contains("auth.http does not judge"));
        assert_eq!(told.count(), 1, "once a minute");
    }
}

#[test]
fn a_silent_service_is_waited_for_within_its_timeout() {
    let fake = Fake::silent();
    let (_recorder, tidegate) = start(&fake);
    let begun = std::time::Instant::now();
    assert_eq!(login(&tidegate, "alice", "secret").status, 503);
    assert!(begun.elapsed().as_millis() >= 500);
    tidegate.log.wait_for("the cause", |line| line.contains("it did not answer within 500ms"));
    assert_eq!(login(&tidegate, crate::harness::USER, crate::harness::PASSWORD).status, 200);
}

#[test]
fn an_endless_answer_costs_nothing() {
    let fake = Fake::start(|conversation| {
        conversation.read_head();
        conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n");
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..1024 {
            if !conversation.write(&piece) {
                return;
            }
        }
    });
    let (_recorder, tidegate) = start(&fake);
    let before = tidegate.peak_kib();
    for _ in 0..5 {
        assert_eq!(login(&tidegate, "alice", "secret").status, 503);
    }
    tidegate.log.wait_for("the cause", |line| line.contains("its answer is longer than 65536 bytes"));
    let more = tidegate.peak_kib() - before;
    assert!(more < 16 << 10, "{more} KiB");
}

#[test]
fn the_name_in_the_answer_is_the_user_and_other_names_are_theirs_alone() {
    let fake = answering("204 No Content\r\nX-User: alice\r\nRemote-Groups: dev, x");
    let (_recorder, tidegate) = start(&fake);
    assert_eq!(ask(&tidegate, "GET /v2/", "bob", "secret", &["User-Agent: plain/1"]).status, 200);
    assert_eq!(line(&tidegate, "plain/1")["user"], "bob", "auth.http.user_header is another one");
    let recorder = Recorder::start();
    let named = settings(&recorder.url(), &fake.url()).set("auth.http.user_header", r#""x-user""#);
    let tidegate = Tidegate::start(named);
    assert_eq!(ask(&tidegate, "GET /v2/", "bob", "secret", &["User-Agent: named/1"]).status, 200);
    assert_eq!(line(&tidegate, "named/1")["user"], "alice");
}

#[test]
fn nobody_from_a_service_takes_the_name_of_a_local_user() {
    let local = crate::harness::USER;
    let fake = answering(&format!("200 OK\r\nRemote-User: {local}"));
    let (_recorder, tidegate) = start(&fake);
    let agent = "User-Agent: impostor";
    let response = ask(&tidegate, "GET /v2/", &local.to_uppercase(), "secret", &[agent]);
    assert_eq!(response.status, 401);
    let why = "the name at the source is that of a user in auth.htpasswd";
    assert_eq!(line(&tidegate, "impostor")["reason"], why);
    assert_eq!(login(&tidegate, local, crate::harness::PASSWORD).status, 200);
}
