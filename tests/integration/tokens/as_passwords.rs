//! Tokens of tidegate where a password belongs: docker falls back to that when its login has ended.

use super::logins::{login, refresh, refusal, revoke};
use super::*;

/// Cost 12 makes a hash visible in the CPU time.
fn start_with_slow_hashes() -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let settings = settings(&recorder.url());
    settings.write_users_at_cost(&[ALICE, BOB], 12);
    (recorder, Tidegate::start(settings))
}

fn reason(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    text(&body["errors"][0]["message"])
}

#[test]
fn an_ended_login_is_refused_for_the_reason_that_a_post_gets_and_costs_no_hash() {
    let (_recorder, tidegate) = start_with_slow_hashes();
    let mut client = Client::connect(&tidegate);
    let before = tidegate.cpu_seconds();
    let kept = login(&mut client, ALICE);
    let one_hash = tidegate.cpu_seconds() - before;
    revoke(&tidegate, "alice");
    let posted = refresh(&tidegate, &kept);
    assert!(refusal(&posted).contains("the login was revoked"));

    let before = tidegate.cpu_seconds();
    for user in ["alice", "<token>", "somebody"] {
        let response = get(&mut client, "scope=repository:team/app:pull", Some((user, &kept)));
        assert_eq!((response.status, reason(&response)), (401, reason(&posted)), "{user}");
        assert!(response.all("www-authenticate")[0].starts_with("Basic "), "{user}");
    }
    let form = format!("grant_type=password&username=alice&password={kept}");
    assert_eq!(reason(&post(&mut Client::connect(&tidegate), &form)), reason(&posted));
    for path in ["/v2/", "/v2/team/app/manifests/v1", "/v2/_catalog"] {
        let response = client.exchange(&format!("GET {path}"), &[&authorization(("alice", &kept))]);
        assert_eq!((response.status, reason(&response)), (401, reason(&posted)), "{path}");
        assert!(response.all("www-authenticate")[0].starts_with("Bearer "), "{path}");
    }
    let all = tidegate.cpu_seconds() - before;
    assert!(all < one_hash, "eight requests took {all} s of CPU time, one hash {one_hash} s");
}

#[test]
fn a_login_that_ended_with_the_password_says_so() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let kept = login(&mut client, ALICE);
    tidegate.settings.write_users(&[("alice", "another"), BOB]);
    let response = get(&mut client, "", Some(("alice", &kept)));
    assert!(refusal(&response).contains("the password was changed"));
}

#[test]
fn a_valid_login_gets_tokens_for_its_own_user_and_no_other() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let kept = login(&mut client, ALICE);
    for user in ["alice", "<token>"] {
        let query = "scope=repository:team/app:pull&offline_token=true";
        let response = get(&mut client, query, Some((user, &kept)));
        assert_eq!(allowed(&token(&response)), ["repository:team/app:pull"], "{user}");
        assert!(json(&response).get("refresh_token").is_none(), "a login does not prolong itself");
    }
    for user in ["bob", "root", "", "Alice"] {
        let response = get(&mut client, "", Some((user, &kept)));
        assert!(refusal(&response).contains("the login is that of another user"), "{user}");
    }
    // Clients that keep passwords send it with each request.
    for (user, status) in [("alice", 200), ("<token>", 200), ("bob", 401), ("Alice", 401)] {
        let response = client.exchange("GET /v2/", &[&authorization((user, &kept))]);
        assert_eq!(response.status, status, "{user}");
    }
    revoke(&tidegate, "alice");
    let response = client.exchange("GET /v2/", &[&authorization(("alice", &kept))]);
    assert_eq!((response.status, reason(&response).contains("the login was revoked")), (401, true));
}

#[test]
fn an_access_token_is_not_a_password_and_costs_no_hash() {
    let (_recorder, tidegate) = start_with_slow_hashes();
    let mut client = Client::connect(&tidegate);
    let before = tidegate.cpu_seconds();
    let access = obtain(&mut client, Some(ALICE), &["repository:team/app:pull"]);
    let one_hash = tidegate.cpu_seconds() - before;
    let (header, mut claims) = signer::open(&access);
    claims["exp"] = (claims["iat"].as_u64().unwrap() - 60).into();
    let expired = signer::Signer::of(&file(&tidegate, "token.key")).sign(&header, &claims);
    let before = tidegate.cpu_seconds();
    for (token, expected) in
        [(&access, "an access token does not prove a login"), (&expired, "the token has expired")]
    {
        let response = get(&mut client, "", Some(("alice", token)));
        assert!(refusal(&response).contains(expected), "{}", response.text());
        let response = client.exchange("GET /v2/", &[&authorization(("alice", token))]);
        assert!(refusal(&response).contains(expected), "{}", response.text());
    }
    let all = tidegate.cpu_seconds() - before;
    assert!(all < one_hash, "four requests took {all} s of CPU time, one hash {one_hash} s");
}

#[test]
fn an_ended_login_is_throttled_apart_from_the_password() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(settings(&recorder.url()).set("auth.throttle.failures", "3"));
    let mut client = Client::connect(&tidegate);
    let kept = login(&mut client, BOB);
    revoke(&tidegate, "bob");
    for _ in 0..3 {
        refusal(&get(&mut client, "", Some(("bob", &kept))));
    }
    assert_eq!(get(&mut client, "", Some(("bob", &kept))).status, 429);
    assert_eq!(refresh(&tidegate, &kept).status, 429, "the same account as a POST");
    tidegate.settings.write_users(&[ALICE, BOB]);
    assert_eq!(get(&mut client, "", Some(BOB)).status, 200, "the password is not throttled");
}

#[test]
fn a_login_of_token_mode_is_told_from_a_password_in_basic_mode_too() {
    let (_recorder, tidegate) = start();
    let kept = login(&mut Client::connect(&tidegate), ALICE);
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    settings.write_users(&[ALICE]);
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let response = client.exchange("GET /v2/", &[&authorization(("alice", &kept))]);
    assert!(refusal(&response).contains("this registry does not keep logins"));
    assert!(response.all("www-authenticate")[0].starts_with("Basic "));
    assert_eq!(client.exchange("GET /v2/", &[&authorization(ALICE)]).status, 200);
}
