//! Who gets in, under which name, and what they may do.

use super::*;
use crate::harness::{PASSWORD, USER};

const PUSH: &str = "PUT /v2/team/app/manifests/v1";

#[test]
fn a_group_may_push_over_tls_and_over_starttls() {
    let slapd = Slapd::start();
    for server in [slapd.ldaps(), slapd.ldap()] {
        let (_recorder, tidegate) = start_at(&slapd, &server, |settings| settings);
        assert_eq!(ask(&tidegate, "GET /v2/team/app/manifests/v1", ALICE, &[]).status, 200, "{server}");
        let length = ["Content-Length: 2\r\n\r\n{}"];
        assert_ne!(ask(&tidegate, PUSH, ALICE, &length).status, 403, "{server}");
        assert_eq!(ask(&tidegate, PUSH, BOB, &["Content-Length: 0"]).status, 403, "{server}");
        assert_eq!(login(&tidegate, (USER, PASSWORD)).status, 200, "the htpasswd stands beside it");
    }
    assert_eq!(
        slapd.log.so_far().iter().filter(|line| line.contains(USER)).count(),
        0,
        "its names stay here"
    );
}

#[test]
fn many_spellings_are_one_user() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    let names = ["alice", "ALICE", " alice ", "\u{ff41}\u{ff4c}\u{ff49}\u{ff43}\u{ff45}"];
    for (number, name) in names.into_iter().enumerate() {
        let agent = format!("spelling/{number}");
        let own = ask(
            &tidegate,
            "GET /v2/alice/app/manifests/v1",
            (name, ALICE.1),
            &[&format!("User-Agent: {agent}")],
        );
        assert_eq!(own.status, 200, "{name}");
        let line = line(&tidegate, &agent);
        assert_eq!((&line["user"], &line["source"]), (&"alice".into(), &"ldap".into()), "{line}");
        assert_eq!(ask(&tidegate, "GET /v2/ALICE/app/manifests/v1", (name, ALICE.1), &[]).status / 100, 4);
    }
    // Wrong passwords for all of them count together, in each network.
    let (_recorder, tidegate) =
        start(&slapd, |settings| settings.set("auth.ldap.failures", "0").set("auth.throttle.failures", "2"));
    for (name, expected) in [("ALICE", 401), (" alice ", 401), (names[3], 429), ("alice", 429)] {
        assert_eq!(login_from(&tidegate, "192.0.2.1", (name, "wrong")), expected, "{name}");
    }
    assert_eq!(login_from(&tidegate, "192.0.2.2", ALICE), 200);
}

#[test]
fn what_is_not_a_password_or_not_a_name_finds_nobody() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    for password in ["", "alice-password\0"] {
        assert_eq!(login(&tidegate, ("alice", password)).status / 100, 4);
    }
    assert_eq!(slapd.binds(""), 0);
    for name in ["*", "a*", "*()\\", "alice)(uid=*", "twin", "rob", "co"] {
        assert_eq!(login(&tidegate, (name, ALICE.1)).status, 401, "{name}");
    }
    assert_eq!(slapd.binds("uid="), 0);
}

#[test]
fn the_reason_is_for_the_log_alone() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    let mut bodies = Vec::new();
    for (agent, name, reason) in [
        ("reason/1", "alice", "wrong password"),
        ("reason/2", "nobody", "there is no such user"),
        ("reason/3", "twin", "the filter finds two entries"),
        ("reason/4", "door", "it is the account that searches"),
    ] {
        let refused = ask(&tidegate, "GET /v2/", (name, "secret-guess"), &[&format!("User-Agent: {agent}")]);
        let line = line(&tidegate, agent);
        assert_eq!(refused.status, 401);
        assert!(line["reason"].as_str().unwrap().contains(reason), "{line}");
        assert!(!line.to_string().contains("secret-guess"), "{line}");
        bodies.push(refused.text().replace(name, "NAME"));
    }
    bodies.dedup();
    assert_eq!(bodies.len(), 1, "{bodies:?}");
}

#[test]
fn a_push_with_many_logins_at_once_is_one_bind() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    let fields = [authorization(ALICE)];
    let mut clients: Vec<Client> = (0..8).map(|_| Client::connect(&tidegate)).collect();
    for _ in 0..25 {
        for client in &mut clients {
            client.send(crate::harness::http1::head("GET /v2/team/app/manifests/v1", &[&fields[0]]));
        }
        for client in &mut clients {
            assert_eq!(client.response(false).unwrap().status, 200);
        }
    }
    assert_eq!(slapd.binds("uid=alice"), 1);
}

#[test]
fn decisions_cached_for_others() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start(&slapd, |settings| settings);
    assert_eq!(login(&tidegate, ALICE).status, 200);
    for (user, password) in
        [(BOB.0, ALICE.1), (ALICE.0, BOB.1), (ALICE.0, "alice-password2"), ("alic", "ealice-password")]
    {
        assert_eq!(login(&tidegate, (user, password)).status, 401, "{user} {password}");
    }
    assert_eq!(login(&tidegate, ALICE).status, 200);
}
