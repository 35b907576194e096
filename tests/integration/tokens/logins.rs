//! Identity tokens: how long a login lasts.

use std::fs;

use super::*;
use crate::harness::tools;

pub(super) fn login(client: &mut Client, user: (&str, &str)) -> String {
    text(&json(&get(client, "offline_token=true", Some(user)))["refresh_token"])
}

pub(super) fn refresh(tidegate: &Tidegate, kept: &str) -> Response {
    let form = format!("grant_type=refresh_token&refresh_token={kept}&scope=repository:team/app:pull");
    post(&mut Client::connect(tidegate), &form)
}

/// The message when a login is no longer valid.
pub(super) fn refusal(response: &Response) -> String {
    assert_eq!((response.status, response.error_code().as_str()), (401, "UNAUTHORIZED"));
    let text = response.text();
    assert!(text.contains("; log in: docker login localhost"), "{text}");
    text
}

pub(super) fn revoke(tidegate: &Tidegate, whom: &str) {
    let key = file(tidegate, "token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", "revoke", &key, whom]);
}

#[test]
fn survives_a_restart_and_ends_with_the_password() {
    let (_recorder, mut tidegate) = start();
    let kept = login(&mut Client::connect(&tidegate), ALICE);
    assert_eq!(allowed(&token(&refresh(&tidegate, &kept))), ["repository:team/app:pull"]);
    tidegate.restart();
    assert_eq!(allowed(&token(&refresh(&tidegate, &kept))), ["repository:team/app:pull"]);

    tidegate.settings.write_users(&[("alice", "another"), BOB]);
    assert!(refusal(&refresh(&tidegate, &kept)).contains("the password was changed"));
    let kept = login(&mut Client::connect(&tidegate), ("alice", "another"));
    assert_eq!(refresh(&tidegate, &kept).status, 200);
    tidegate.settings.write_users(&[BOB]);
    refusal(&refresh(&tidegate, &kept));
}

#[test]
fn trying_an_ended_one_is_throttled_and_does_not_prevent_logins() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(settings(&recorder.url()).set("auth.throttle.failures", "3"));
    let mut client = Client::connect(&tidegate);
    let (ended, _) = (login(&mut client, ALICE), revoke(&tidegate, "alice"));
    let good = login(&mut client, ALICE);
    for kept in [ended.as_str(), "forged"] {
        for _ in 0..3 {
            refusal(&refresh(&tidegate, kept));
        }
        let response = refresh(&tidegate, kept);
        assert_eq!((response.status, response.all("retry-after").len()), (429, 1), "{kept}");
    }
    assert_eq!(refresh(&tidegate, &good).status, 200);
    assert_eq!(get(&mut client, "", Some(ALICE)).status, 200);
    assert_eq!(get(&mut client, "", Some(("alice", "wrong"))).status, 401);
}

#[test]
fn after_a_change_of_the_key_every_user_behind_one_address_is_told_the_reason() {
    let recorder = Recorder::start();
    let mut tidegate = Tidegate::start(settings(&recorder.url()).set("auth.throttle.failures", "3"));
    let mut client = Client::connect(&tidegate);
    let kept: Vec<_> = (0..8).map(|_| login(&mut client, ALICE)).collect();
    for file in ["token.key", "token.crt"] {
        fs::remove_file(tidegate.settings.path().join(file)).unwrap();
    }
    make_key(&tidegate.settings, &[]);
    tidegate.restart();
    for kept in kept {
        refusal(&refresh(&tidegate, &kept));
        refusal(&get(&mut Client::connect(&tidegate), "", Some(("alice", &kept))));
    }
}

#[test]
fn ends_when_it_is_revoked_and_a_later_one_is_valid() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let (alice, bob) = (login(&mut client, ALICE), login(&mut client, BOB));
    revoke(&tidegate, "alice");
    assert!(refusal(&refresh(&tidegate, &alice)).contains("the login was revoked"));
    assert_eq!(refresh(&tidegate, &bob).status, 200);
    let alice = login(&mut client, ALICE);
    assert_eq!(refresh(&tidegate, &alice).status, 200);
    revoke(&tidegate, "--all");
    refusal(&refresh(&tidegate, &alice));
    refusal(&refresh(&tidegate, &bob));
    assert_eq!(refresh(&tidegate, &login(&mut client, BOB)).status, 200);

    fs::remove_file(file(&tidegate, "token.key.revoked")).unwrap();
    refusal(&refresh(&tidegate, &alice));
}

/// Starting and checking both fail, and say why.
fn expect_a_lost_list(tidegate: &Tidegate) {
    const MISSING: i32 = 66;
    let refusal = tidegate.settings.refused();
    let settings = tidegate.settings.file().display().to_string();
    let check = tools::run(env!("CARGO_BIN_EXE_tidegate"), &["check", "--config", &settings]);
    for (code, output) in [(Some(refusal.code), refusal.output.join("\n")), (check.code, check.stderr)] {
        assert_eq!(code, Some(MISSING), "{output}");
        assert!(output.contains("token.key.revoked: the list of revoked logins does not exist"), "{output}");
        assert!(output.contains("token revoke") && output.contains("empty file"), "{output}");
    }
}

#[test]
fn a_revoked_login_does_not_come_back_when_the_list_is_lost_before_a_start() {
    let (_recorder, mut tidegate) = start();
    // A key without a list needs none.
    tidegate.restart();
    let alice = login(&mut Client::connect(&tidegate), ALICE);
    revoke(&tidegate, "alice");
    let list = file(&tidegate, "token.key.revoked");
    fs::remove_file(&list).unwrap();
    expect_a_lost_list(&tidegate);

    revoke(&tidegate, "--all");
    tidegate.restart();
    refusal(&refresh(&tidegate, &alice));
    fs::remove_file(&list).unwrap();
    expect_a_lost_list(&tidegate);

    fs::write(&list, "").unwrap();
    tidegate.restart();
    assert_eq!(refresh(&tidegate, &alice).status, 200, "an empty list is the operator's decision");
}

#[test]
fn a_revoked_login_does_not_come_back_when_a_list_written_by_hand_is_lost_before_a_start() {
    let (_recorder, tidegate) = start();
    fs::write(file(&tidegate, "token.key.revoked"), "* 2099-01-01T00:00:00Z\n").unwrap();
    tidegate.log.wait_for("the record", |line| line.contains("recorded that the key has a list"));
    fs::remove_file(file(&tidegate, "token.key.revoked")).unwrap();
    expect_a_lost_list(&tidegate);
}

#[test]
fn ends_when_it_expires_and_is_valid_for_its_service_only() {
    let (_recorder, tidegate) = start();
    let kept = login(&mut Client::connect(&tidegate), ALICE);
    let signer = signer::Signer::of(&file(&tidegate, "token.key"));
    let (header, claims) = signer::open(&kept);
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        signer.sign(&header, &claims)
    };
    assert_eq!(refresh(&tidegate, &with("x", 1.into())).status, 200);
    let now = claims["iat"].as_u64().unwrap();
    assert!(refusal(&refresh(&tidegate, &with("exp", (now - 60).into()))).contains("the login has expired"));
    refusal(&refresh(&tidegate, &with("aud", "refresh:another".into())));
    refusal(&refresh(&tidegate, &with("aud", SERVICE.into())));
    refusal(&refresh(&tidegate, &with("iss", "another".into())));
    refusal(&refresh(&tidegate, &with("sub", "root".into())));
    refusal(&refresh(&tidegate, &with("binding", "".into())));
    refusal(&refresh(&tidegate, "abc"));
    refusal(&refresh(&tidegate, &kept[..kept.len() - 2]));
}

#[test]
fn is_not_an_access_token_and_an_access_token_is_not_a_login() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let kept = login(&mut client, ALICE);
    let response = client.exchange("GET /v2/", &[&bearer(&kept)]);
    assert_eq!(response.status, 401);
    assert!(response.text().contains("an identity token is accepted only by /auth/token"));
    assert!(response.all("www-authenticate")[0].contains("error=\"invalid_token\""));
    let token = obtain(&mut client, Some(ALICE), &[]);
    assert!(refusal(&refresh(&tidegate, &token)).contains("an access token does not prove a login"));
}

#[test]
fn is_not_issued_where_it_could_not_last() {
    let recorder = Recorder::start();
    let lasting = || settings(&recorder.url());
    for settings in [lasting().set("token.refresh_ttl", r#""0s""#), lasting().unset("token.key")] {
        let tidegate = Tidegate::start(settings);
        let given = json(&get(&mut Client::connect(&tidegate), "offline_token=true", Some(ALICE)));
        assert!(given.get("refresh_token").is_none(), "{given}");
    }
}

#[test]
fn a_token_is_judged_by_the_current_rules() {
    let (_recorder, tidegate) = start();
    let mut client = Client::connect(&tidegate);
    let token = obtain(&mut client, Some(ALICE), &["repository:team/app:pull,push"]);
    let pull = |client: &mut Client| client.exchange("GET /v2/team/app/tags/list", &[&bearer(&token)]).status;
    assert_eq!(pull(&mut client), 200);
    let fewer = tidegate.settings.toml().replace("\"public/**\", \"team/**\"", "\"public/**\"");
    fs::write(tidegate.settings.file(), &fewer).unwrap();
    tidegate.signal(rustix::process::Signal::HUP);
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
    assert_eq!(pull(&mut Client::connect(&tidegate)), 401);
}

#[test]
fn survives_a_reload_with_a_key_without_a_file() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(settings(&recorder.url()).unset("token.key"));
    let mut client = Client::connect(&tidegate);
    let token = obtain(&mut client, Some(ALICE), &[]);
    tidegate.signal(rustix::process::Signal::HUP);
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[&bearer(&token)]).status, 200);
}
