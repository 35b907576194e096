//! Identity tokens of people of a directory.

use super::*;
use crate::harness::tools::succeed;

/// A tidegate with tokens that remembers nothing.
fn start_with_tokens(slapd: &Slapd) -> (Recorder, Tidegate) {
    start(slapd, |settings| {
        let key = settings.path().join("token.key").display().to_string();
        succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", &key]);
        settings
            .set("auth.mode", r#""token""#)
            .set("auth.cache_ttl", r#""0s""#)
            .set("token.service", r#""registry.test""#)
            .set("token.key", r#""token.key""#)
    })
}

/// The identity token of a login.
fn log_in(tidegate: &Tidegate, user: (&str, &str)) -> String {
    let given = ask(tidegate, "GET /auth/token?service=registry.test&offline_token=true", user, &[]);
    assert_eq!(given.status, 200, "{}", given.text());
    let given: Value = serde_json::from_slice(&given.body).unwrap();
    given["refresh_token"].as_str().unwrap().to_owned()
}

/// The status of a request for a token to pull, and whether that is granted.
fn refresh(tidegate: &Tidegate, kept: &str) -> (u16, bool) {
    let form = format!(
        "grant_type=refresh_token&refresh_token={kept}&service=registry.test&scope=repository:team/app:pull"
    );
    let length = format!("Content-Length: {}", form.len());
    let mut client = Client::connect(tidegate);
    let head = crate::harness::http1::head(
        "POST /auth/token",
        &["Content-Type: application/x-www-form-urlencoded", &length],
    );
    client.send([head.as_bytes(), form.as_bytes()].concat());
    let given = client.response(false).unwrap();
    let body: Value = serde_json::from_slice(&given.body).unwrap_or_default();
    let token = body["access_token"].as_str().unwrap_or_default().to_owned();
    let pull = Client::connect(tidegate)
        .exchange("GET /v2/team/app/manifests/v1", &[&format!("Authorization: Bearer {token}")]);
    (given.status, pull.status == 200)
}

const ENTRY: &str = "dn: uid=alice,ou=people,dc=example,dc=org\nchangetype: ";

#[test]
fn a_login_in_any_spelling_is_one_of_the_user() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start_with_tokens(&slapd);
    for name in ["alice", "ALICE", " alice "] {
        assert_eq!(refresh(&tidegate, &log_in(&tidegate, (name, ALICE.1))), (200, true), "{name}");
    }
}

#[test]
fn a_login_ends_with_the_password_and_with_the_entry() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start_with_tokens(&slapd);
    let kept = log_in(&tidegate, ALICE);
    assert_eq!(refresh(&tidegate, &kept), (200, true));
    slapd.change(&format!("{ENTRY}modify\nreplace: userPassword\nuserPassword: new\n"));
    assert_eq!(refresh(&tidegate, &kept).0, 401);
    let kept = log_in(&tidegate, ("alice", "new"));
    assert_eq!(refresh(&tidegate, &kept), (200, true));
    slapd.change(&format!("{ENTRY}delete\n"));
    assert_eq!(refresh(&tidegate, &kept).0, 401);
}

#[test]
fn a_changed_group_counts_at_the_next_token() {
    let slapd = Slapd::start();
    let (_recorder, tidegate) = start_with_tokens(&slapd);
    let (alice, bob) = (log_in(&tidegate, ALICE), log_in(&tidegate, BOB));
    assert_eq!((refresh(&tidegate, &alice), refresh(&tidegate, &bob)), ((200, true), (200, false)));
    slapd.change(
        "dn: cn=developers,ou=groups,dc=example,dc=org\nchangetype: modify\nreplace: member\n\
         member: uid=bob,ou=people,dc=example,dc=org\n",
    );
    assert_eq!((refresh(&tidegate, &alice), refresh(&tidegate, &bob)), ((200, false), (200, true)));
}

#[test]
fn a_directory_that_is_gone_ends_no_login() {
    let mut slapd = Slapd::start();
    let (_recorder, tidegate) = start_with_tokens(&slapd);
    let kept = log_in(&tidegate, ALICE);
    slapd.stop();
    assert_eq!(refresh(&tidegate, &kept).0, 503);
    slapd.restart();
    assert_eq!(refresh(&tidegate, &kept), (200, true));
}
