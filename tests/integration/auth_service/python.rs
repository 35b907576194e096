//! The example, deploy/auth-service.py.

use super::{SECRET, ask, line, login, settings};
use crate::harness::recorder::Recorder;
use crate::harness::service::{Place, Service};
use crate::harness::tidegate::Tidegate;
use crate::harness::tools;
use crate::harness::{PASSWORD, USER};

const USERS: &str = "alice:open: sesame:dev,ops\nbob:secret:\nj\u{f6}rg:gr\u{fc}n:x, dev\n";

fn start(place: Place) -> (Recorder, Service, Tidegate) {
    let (recorder, service) = (Recorder::start(), Service::of_python(place, USERS, SECRET));
    let settings = settings(&recorder.url(), &service.url).set("auth.http.secret", r#""secret""#);
    (recorder, service, Tidegate::start(settings))
}

#[test]
fn users_of_the_service_have_what_the_rules_grant_to_their_groups() {
    for place in [Place::Port, Place::Socket] {
        let (_recorder, _service, tidegate) = start(place);
        let push = |user: &str, password: &str, agent: &str| {
            let agent = format!("User-Agent: {agent}");
            let fields = [agent.as_str(), "Content-Length: 0"];
            ask(&tidegate, "PUT /v2/team/app/manifests/v1", user, password, &fields).status
        };
        assert_eq!(push("alice", "open: sesame", "alice/1"), 200);
        assert_eq!(push("j\u{f6}rg", "gr\u{fc}n", "jorg/1"), 200);
        assert_eq!(push("bob", "secret", "bob/1"), 403);
        assert_eq!(push("alice", "secret", "wrong/1"), 401);
        assert_eq!(push("carol", "secret", "carol/1"), 401);
        for (agent, user) in [("alice/1", "alice"), ("jorg/1", "j\u{f6}rg"), ("bob/1", "bob")] {
            let line = line(&tidegate, agent);
            assert_eq!((&line["user"], &line["source"]), (&user.into(), &"http".into()), "{line}");
        }
        let wrong = line(&tidegate, "wrong/1");
        assert!(wrong.to_string().contains("the service does not accept"), "{wrong}");
        assert!(!wrong.to_string().contains("sesame"), "{wrong}");
    }
}

#[test]
fn the_spelling_of_the_service_is_the_user() {
    let (_recorder, _service, tidegate) = start(Place::Socket);
    let response =
        ask(&tidegate, "GET /v2/alice/app/tags/list", "ALICE", "open: sesame", &["User-Agent: loud/1"]);
    assert_eq!(response.status, 200);
    assert_eq!(line(&tidegate, "loud/1")["user"], "alice");
}

#[test]
fn a_service_that_is_told_another_secret_judges_nobody() {
    let recorder = Recorder::start();
    let service = Service::of_python(Place::Port, USERS, "another one");
    let settings = settings(&recorder.url(), &service.url).set("auth.http.secret", r#""secret""#);
    let tidegate = Tidegate::start(settings);
    let response = login(&tidegate, "alice", "open: sesame");
    assert_eq!((response.status, response.all("retry-after").len()), (503, 1));
    tidegate.log.wait_for("the cause", |line| line.contains("it answered 400 Bad Request"));
}

#[test]
fn a_service_that_was_away_is_asked_again_at_once() {
    let (_recorder, mut service, tidegate) = start(Place::Socket);
    assert_eq!(login(&tidegate, "alice", "open: sesame").status, 200);
    service.stop();
    assert_eq!(login(&tidegate, "alice", "open: sesame").status, 200, "she is remembered");
    for _ in 0..20 {
        let response = login(&tidegate, "bob", "secret");
        assert_eq!((response.status, response.all("retry-after").len()), (503, 1), "nothing counts");
    }
    assert_eq!(login(&tidegate, USER, PASSWORD).status, 200, "a user of the file");
    service.restart();
    assert_eq!(login(&tidegate, "bob", "secret").status, 200);
}

#[test]
fn the_example_says_how_it_is_started() {
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/auth-service.py");
    let help = tools::succeed("python3", &[program, "--help"]);
    assert!(help.contains("\n  deploy/auth-service.py ADDRESS USERS [SECRET]\n"), "{help}");
    for wrong in [&["--hlep"][..], &["0"], &["0", "users", "secret", "more"]] {
        assert_eq!(tools::run("python3", &[&[program], wrong].concat()).code, Some(64), "{wrong:?}");
    }
}
