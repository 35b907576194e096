//! Throttling of wrong passwords, and the users who must not suffer from it.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;
use std::{fs, io};

use rustix::process::Signal;

use crate::harness::http1::{self, Client, Response, authorized, head};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{SETTLED, Settings, Tidegate};
use crate::harness::{DEADLINE, PASSWORD, USER, basic};

/// A registry for two users, behind a trusted load balancer on this machine.
fn start(failures: usize, cost: u32) -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#)
        .set("auth.throttle.failures", &failures.to_string());
    settings.write_users_at_cost(&[(USER, PASSWORD), ("other", "secret")], cost);
    (recorder, Tidegate::start(settings))
}

/// One login by a client at `address`.
fn login(client: &mut Client, address: &str, user: &str, password: &str) -> Response {
    try_to_login(client, address, user, password).unwrap()
}

fn try_to_login(client: &mut Client, address: &str, user: &str, password: &str) -> io::Result<Response> {
    let credentials = format!("Authorization: {}", basic(user, password));
    client.send(head("GET /v2/", &[&credentials, &format!("X-Forwarded-For: {address}")]));
    client.response(false)
}

#[test]
fn of_a_thousand_wrong_passwords_ten_are_hashed() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    settings.write_users_at_cost(&[(USER, PASSWORD)], 11);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let mut guess = |number: usize| {
        client.exchange("GET /v2/", &[&format!("Authorization: {}", basic(USER, &format!("guess {number}")))])
    };
    let start = tidegate.cpu_seconds();
    for number in 0..10 {
        assert_eq!(guess(number).status, 401);
    }
    let ten_hashes = tidegate.cpu_seconds() - start;
    for number in 10..1000 {
        let response = guess(number);
        assert_eq!((response.status, response.error_code().as_str()), (429, "TOOMANYREQUESTS"));
        assert_eq!(response.all("docker-distribution-api-version"), ["registry/2.0"]);
        assert!(response.all("www-authenticate").is_empty());
        let after: u32 = response.all("retry-after")[0].parse().unwrap();
        assert!((1..=60).contains(&after), "{after}");
    }
    let all = tidegate.cpu_seconds() - start;
    assert!(ten_hashes > 0.2, "ten hashes of cost 11 take time: {ten_hashes} s");
    assert!(all < ten_hashes * 10.0, "ten took {ten_hashes} s of CPU time, a thousand {all} s");
    assert!(recorder.record().requests.is_empty());
    let line = tidegate.access.wait_for("a line", |line| line.contains("\"status\":429"));
    assert!(line.contains("too many failed logins"), "{line}");
    assert!(line.contains(&format!(r#""claimed":"{USER}""#)) && !line.contains(r#""user":"#), "{line}");
    // A password typed in place of the user name must not be logged.
    client.exchange("GET /v2/", &[&format!("Authorization: {}", basic("hunter2", ""))]);
    let line = tidegate
        .access
        .wait_after(0, "a line", |line| line.contains("wrong user") && !line.contains("claimed"));
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn throttling_locks_out_neither_others_nor_users_who_are_signed_in() {
    let (_recorder, tidegate) = start(3, 4);
    let mut client = Client::connect(&tidegate);
    let mut login =
        |address: &str, user: &str, password: &str| login(&mut client, address, user, password).status;
    assert_eq!(login("2001:db8::1", "other", "secret"), 200);
    for address in ["192.0.2.1", "2001:db8::1"] {
        for user in [USER, "other", "unknown"] {
            // Different passwords from the two addresses: the second answer would come from the
            // cache and not count.
            for wrong in ["a", "b", "c"] {
                assert_eq!(login(address, user, &format!("{wrong} {address}")), 401, "{address} {user}");
            }
            assert_eq!(login(address, user, "d"), 429, "{address} {user}");
        }
    }
    assert_eq!(login("2001:db8::ffff", USER, PASSWORD), 429, "an address of the same network");
    assert_eq!(login("2001:db8::1", "other", "secret"), 200, "a password that was right before");
    for address in ["2001:db8:0:1::1", "192.0.2.2"] {
        assert_eq!(login(address, USER, PASSWORD), 200, "{address}");
    }
}

#[test]
fn one_wrong_password_counts_once_however_often_it_is_sent() {
    let (_recorder, tidegate) = start(3, 12);
    let fields = [format!("Authorization: {}", basic(USER, "wrong"))];
    let mut clients: Vec<Client> = (0..50).map(|_| Client::connect(&tidegate)).collect();
    for client in &mut clients {
        client.send(http1::head("GET /v2/", &[&fields[0]]));
    }
    for client in &mut clients {
        assert_eq!(client.response(false).unwrap().status, 401);
    }
    // containerd asks for a token twice, in two ways.
    let client = &mut clients[0];
    for _ in 0..2 {
        assert_eq!(login(client, "127.0.0.1", USER, "another").status, 401);
    }
    assert_eq!(login(client, "127.0.0.1", USER, "a third").status, 401);
    assert_eq!(login(client, "127.0.0.1", USER, "a fourth").status, 429);
}

#[test]
fn a_simultaneous_flood_gets_no_more_attempts() {
    let (_recorder, tidegate) = start(5, 10);
    let mut known = Client::connect(&tidegate);
    assert_eq!(known.exchange("GET /v2/", &[&authorized()]).status, 200);
    let mut clients: Vec<Client> = (0..40).map(|_| Client::connect(&tidegate)).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        let guess = basic(USER, &format!("guess {number}"));
        client.send(http1::head("GET /v2/", &[&format!("Authorization: {guess}")]));
    }
    assert_eq!(known.exchange("GET /v2/", &[&authorized()]).status, 200);
    let statuses: Vec<u16> =
        clients.iter_mut().map(|client| client.response(false).unwrap().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 429).count(), 35, "{statuses:?}");
    assert_eq!(known.exchange("GET /v2/", &[&authorized()]).status, 200);
}

#[test]
fn changed_throttle_limits_take_effect_with_a_reload() {
    let (_recorder, tidegate) = start(1, 4);
    let mut client = Client::connect(&tidegate);
    assert_eq!(login(&mut client, "192.0.2.1", USER, "wrong").status, 401);
    assert_eq!(login(&mut client, "192.0.2.1", USER, PASSWORD).status, 429);
    let start = tidegate.log.len();
    let text = tidegate.settings.toml().replace("throttle.failures = 1", "throttle.failures = 0");
    fs::write(tidegate.settings.file(), text).unwrap();
    tidegate.signal(Signal::HUP);
    tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
    assert_eq!(login(&mut client, "192.0.2.1", USER, PASSWORD).status, 200);
    let told = tidegate.log.so_far().iter().any(|line| line.contains("takes effect at the next start"));
    assert!(!told);
}

/// Ends a flood when dropped, even by a failure.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs `then` while 80 connections from 192.0.2.1 send wrong passwords of invented users, one
/// after another. `then` begins once the first of them have been answered.
fn beside_invented_users<T>(tidegate: &Tidegate, then: impl FnOnce() -> T) -> T {
    const CONNECTIONS: usize = 80;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for connection in 0..CONNECTIONS {
            let is_over = &is_over;
            scope.spawn(move || {
                let mut client = Client::connect(tidegate);
                for attempt in 0.. {
                    let user = format!("invented-{connection}-{attempt}");
                    match try_to_login(&mut client, "192.0.2.1", &user, "wrong") {
                        Ok(answer) => assert!(matches!(answer.status, 401 | 429), "{}", answer.status),
                        // On a busy machine the answer to a flood may come too late.
                        Err(_) => client = Client::connect(tidegate),
                    }
                    if is_over.load(Relaxed) {
                        return;
                    }
                }
            });
        }
        let _end = End(&is_over);
        tidegate.access.wait_for("the flood", |line| line.contains("\"status\":429"));
        then()
    })
}

#[test]
fn a_flood_of_invented_users_from_one_address_keeps_no_new_user_out() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#)
        .set("auth.hash_threads", "1");
    let users: Vec<String> = (0..10).map(|number| format!("new{number}")).collect();
    let users: Vec<_> = users.iter().map(|user| (user.as_str(), PASSWORD)).collect();
    settings.write_users_at_cost(&users, 10);
    let tidegate = Tidegate::start(settings);
    beside_invented_users(&tidegate, || {
        let mut client = Client::connect(&tidegate);
        for (user, password) in users {
            let start = Instant::now();
            assert_eq!(login(&mut client, "192.0.2.2", user, password).status, 200, "{user}");
            eprintln!("{user} was in after {:?}", start.elapsed());
        }
    });
}

#[test]
fn a_new_user_behind_the_address_of_a_flood_gets_in_once_its_answers_are_late() {
    let (_recorder, tidegate) = start(1, 8);
    beside_invented_users(&tidegate, || {
        // The reason tells failures beyond the bound of the network from a full queue.
        tidegate.access.wait_for("a late answer", |line| line.contains("too many failed logins from your"));
        let mut client = Client::connect(&tidegate);
        let start = Instant::now();
        while login(&mut client, "192.0.2.1", "other", "secret").status != 200 {
            assert!(start.elapsed() < DEADLINE, "not let in");
        }
        eprintln!("in after {:?}", start.elapsed());
    });
}

#[test]
fn wrong_passwords_of_many_users_from_one_network_are_answered_late_and_elsewhere_at_once() {
    let (_recorder, tidegate) = start(1, 4);
    let mut client = Client::connect(&tidegate);
    let mut login = |address: &str, user: &str, password: &str| login(&mut client, address, user, password);
    for number in 0..10 {
        assert_eq!(login("192.0.2.1", &format!("invented{number}"), "wrong").status, 401);
    }
    let start = Instant::now();
    let late = login("192.0.2.1", "another", "wrong");
    assert_eq!((late.status, late.error_code().as_str()), (429, "TOOMANYREQUESTS"));
    assert_eq!(late.all("retry-after"), ["6"]);
    assert!(start.elapsed().as_secs() >= 5, "{:?}", start.elapsed());
    assert_eq!(login("192.0.2.1", USER, PASSWORD).status, 200);
    assert_eq!(login("192.0.2.2", "another", "wrong").status, 401);
}

/// A proxy sends the requests of many clients over one connection.
#[test]
fn what_one_client_of_a_proxy_has_proven_lets_no_throttled_one_in() {
    let (_recorder, tidegate) = start(3, 4);
    let mut client = Client::connect(&tidegate);
    let mut status = |address: &str, password: &str| {
        let fields =
            [format!("Authorization: {}", basic(USER, password)), format!("X-Forwarded-For: {address}")];
        client.exchange("GET /v2/app/manifests/latest", &fields.each_ref().map(String::as_str)).status
    };
    let begun = Instant::now();
    while begun.elapsed() < SETTLED {
        assert_eq!(status("192.0.2.1", PASSWORD), 200);
    }
    for guess in ["1", "2", "3"] {
        assert_eq!(status("192.0.2.2", guess), 401);
    }
    assert_eq!(status("192.0.2.2", PASSWORD), 429);
    assert_eq!(status("192.0.2.1", PASSWORD), 200);
}
