//! The cost of checking passwords.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Instant;

use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client, authorized};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{SETTLED, Settings, Tidegate};
use crate::harness::{basic, http2};

fn with_cost(cost: u32) -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    settings.write_users_at_cost(&[("testuser", "testpass")], cost);
    (recorder, Tidegate::start(settings))
}

#[test]
fn a_thousand_requests_with_one_password_cost_one_hash() {
    let (_recorder, tidegate) = with_cost(12);
    let mut client = Client::connect(&tidegate);
    let before = tidegate.cpu_seconds();
    assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
    let one_hash = tidegate.cpu_seconds() - before;
    for request in 1..1000 {
        // Reconnect now and then: the cache belongs to the process, not to the connection.
        if request % 100 == 0 {
            client = Client::connect(&tidegate);
        }
        assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
    }
    let all = tidegate.cpu_seconds() - before;
    assert!(one_hash > 0.05, "a hash of cost 12 takes time: {one_hash} s");
    assert!(all < one_hash * 100.0, "1000 requests took {all} s of CPU time, the first one {one_hash} s");
}

#[test]
fn an_unknown_user_costs_what_a_wrong_password_costs() {
    let (_recorder, tidegate) = with_cost(11);
    let mut client = Client::connect(&tidegate);
    let mut cost_of = |user: &str| {
        let before = tidegate.cpu_seconds();
        for attempt in 0..5 {
            let field = format!(
                "Authorization: {}",
                basic(&user.replace('#', &attempt.to_string()), &format!("wrong{attempt}"))
            );
            let response = client.exchange("GET /v2/", &[&field]);
            assert_eq!(response.status, 401);
        }
        tidegate.cpu_seconds() - before
    };
    let (wrong, unknown) = (cost_of("testuser"), cost_of("unknown#"));
    assert!(wrong > 0.1, "five hashes of cost 11 take time: {wrong} s");
    assert!((0.5..2.0).contains(&(unknown / wrong)), "wrong passwords {wrong} s, unknown users {unknown} s");
}

#[test]
fn passwords_are_bytes() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    let users = [("colon", "a:b:c"), ("empty", ""), ("umlaut", "gr\u{fc}n"), ("space", " a b ")];
    settings.write_users(&users);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    for (user, password) in users {
        let right = format!("Authorization: {}", basic(user, password));
        assert_eq!(client.exchange("GET /v2/", &[&right]).status, 200, "{user}");
        let wrong = format!("Authorization: {}", basic(user, &format!("{password}x")));
        assert_eq!(client.exchange("GET /v2/", &[&wrong]).status, 401, "{user}");
    }
}

#[test]
fn a_flood_of_wrong_passwords_does_not_lock_out_users_who_are_signed_in() {
    let (_recorder, tidegate) = with_cost(12);
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
    std::thread::scope(|scope| {
        let mut strangers = Vec::new();
        for stranger in 0..8 {
            let tidegate = &tidegate;
            strangers.push(scope.spawn(move || {
                let field = format!("Authorization: {}", basic("testuser", &format!("wrong{stranger}")));
                let status = Client::connect(tidegate).exchange("GET /v2/", &[&field]).status;
                assert!(status == 401 || status == 429, "{status}");
            }));
        }
        for _ in 0..50 {
            assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
        }
    });
}

#[test]
fn a_client_that_leaves_costs_no_hash() {
    const CLIENTS: usize = 40;
    let (_recorder, tidegate) = with_cost(12);
    let wrong = |user: usize| format!("Authorization: {}", basic(&format!("invented{user}"), "wrong"));
    let mut client = Client::connect(&tidegate);
    let before = tidegate.cpu_seconds();
    assert_eq!(client.exchange("GET /v2/", &[&wrong(CLIENTS)]).status, 401);
    let one_hash = tidegate.cpu_seconds() - before;
    let field = |user: usize| [wrong(user), "User-Agent: leaver/1".to_owned()];
    let leavers: Vec<_> = (0..CLIENTS)
        .map(|user| {
            let mut leaver = Client::connect(&tidegate);
            let [password, agent] = field(user);
            leaver.send(http1::head("GET /v2/", &[&password, &agent]));
            leaver
        })
        .collect();
    let mut leaver = http2::Client::connect(&tidegate);
    let streams: Vec<_> = (CLIENTS + 1..CLIENTS + 20)
        .map(|user| {
            let [password, agent] = field(user);
            leaver.send(http2::request("GET", "localhost", "/v2/", &[&password, &agent]), true).0
        })
        .collect();
    drop((leavers, streams, leaver));
    assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 200);
    let all = tidegate.cpu_seconds() - before;
    eprintln!("one hash {one_hash} s, all {all} s of CPU time");
    assert!(all < one_hash * 20.0, "{CLIENTS} and more took {all} s of CPU time, one {one_hash} s");
}

#[test]
fn with_authentication_off_everybody_gets_in() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()).set("auth.mode", r#""off""#));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[]).status, 200);
}

/// A connection remembers the password that it has sent last. That must not make it last longer,
/// nor for anything else that is sent.
#[test]
fn what_a_connection_has_proven_holds_for_the_same_password_of_the_same_file_alone() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    settings.write_users(&[("testuser", "testpass"), ("leaver", "secret")]);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let mut status = |user: &str, password: &str| {
        let field = format!("Authorization: {}", basic(user, password));
        client.exchange("GET /v2/app/manifests/latest", &[&field]).status
    };
    let begun = Instant::now();
    while begun.elapsed() < SETTLED {
        assert_eq!(status("leaver", "secret"), 200);
    }
    for (user, password, expected) in [
        ("leaver", "wrong", 401),
        ("leaver", "secret", 200),
        ("testuser", "secret", 401),
        ("testuser", "testpass", 200),
        ("testuser", "testpass", 200),
        ("testuser", "testpass ", 401),
    ] {
        assert_eq!(status(user, password), expected, "{user}:{password}");
    }
    for _ in 0..3 {
        assert_eq!(status("leaver", "secret"), 200);
    }
    tidegate.settings.write_users(&[("testuser", "testpass")]);
    assert_eq!(status("leaver", "secret"), 401, "the user was removed");
    tidegate.settings.write_users(&[("testuser", "testpass"), ("leaver", "secret")]);
    let begun = Instant::now();
    while begun.elapsed() < SETTLED {
        assert_eq!(status("leaver", "secret"), 200, "the user is back");
    }
    tidegate.settings.write_users(&[("testuser", "testpass"), ("leaver", "changed")]);
    assert_eq!(status("leaver", "secret"), 401, "the password was changed");
}

/// HTTP/2 reads several requests at once, and looks at the file once for all of them.
#[test]
fn an_edit_counts_for_the_next_requests_of_an_http2_connection() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    settings.write_users(&[("testuser", "testpass"), ("leaver", "secret")]);
    let tidegate = Tidegate::start(settings);
    let mut client = http2::Client::connect(&tidegate);
    let field = format!("Authorization: {}", basic("leaver", "secret"));
    let mut statuses = || {
        let path = "/v2/app/manifests/latest";
        let request = || http2::request("GET", "localhost", path, &[&field]);
        let sent: Vec<_> = (0..20).map(|_| client.send(request(), true).0).collect();
        sent.into_iter().map(|response| client.answer(response).unwrap().status()).collect::<Vec<_>>()
    };
    let begun = Instant::now();
    while begun.elapsed() < SETTLED {
        assert_eq!(statuses(), [200; 20]);
    }
    tidegate.settings.write_users(&[("testuser", "testpass")]);
    assert_eq!(statuses(), [401; 20], "the user was removed");
}

/// A request may wait behind another for as long as the client likes.
#[test]
fn an_edit_counts_for_a_request_that_was_sent_together_with_an_earlier_one() {
    let ((ask, asked), (finish, finished)) = (channel(), channel::<()>());
    let ways = Mutex::new((ask, finished));
    let registry = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            let waits = head.first().is_some_and(|line| line.contains("/manifests/slow "));
            if waits {
                let (ask, finished) = &*ways.lock().unwrap();
                ask.send(()).unwrap();
                finished.recv().unwrap();
            }
            if !conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") {
                return;
            }
        }
    });
    let settings = Settings::for_upstream(&registry.url());
    settings.write_users(&[("testuser", "testpass"), ("leaver", "secret")]);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let field = format!("Authorization: {}", basic("leaver", "secret"));
    let begun = Instant::now();
    while begun.elapsed() < SETTLED {
        assert_eq!(client.exchange("GET /v2/app/manifests/fast", &[&field]).status, 200);
    }
    let slow = http1::head("GET /v2/app/manifests/slow", &[&field]);
    client.send(slow + &http1::head("DELETE /v2/app/manifests/latest", &[&field]));
    asked.recv().unwrap();
    tidegate.settings.write_users(&[("testuser", "testpass")]);
    finish.send(()).unwrap();
    assert_eq!(client.response(false).unwrap().status, 200);
    assert_eq!(client.response(false).unwrap().status, 401, "the user was removed");
}
