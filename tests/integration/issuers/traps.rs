//! What jobs, and those who pretend to be one, try.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::*;
use crate::harness::fake::Fake;
use crate::harness::signer::{self, Signer};
use crate::harness::token_issuer::now;

/// What the client is told.
fn reason(response: &Response) -> String {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    body["errors"][0]["message"].as_str().unwrap().to_owned()
}

#[test]
fn issuer_mix_up() {
    let (ours, theirs, recorder) = (TokenIssuer::start(), TokenIssuer::start(), Recorder::start());
    let settings = settings(&ours, &recorder.url(), TEAM);
    std::fs::write(settings.path().join("other.crt"), theirs.ca()).unwrap();
    let other = entry(&theirs, "other", TEAM).replace("issuer.crt", "other.crt");
    let tidegate = Tidegate::start(settings.tables(&other));
    for issuer in [&ours, &theirs] {
        assert_eq!(log_in(&tidegate, &issuer.token()).status, 200);
    }
    // Both have a key called first.
    for (signer, claims) in [(&ours, theirs.claims()), (&theirs, ours.claims())] {
        let response = log_in(&tidegate, &signer.sign(&claims));
        assert_eq!((response.status, reason(&response).contains("its signature is wrong")), (401, true));
    }
    for url in [format!("{}/", ours.url()), "https://other.test".to_owned(), ours.url().to_uppercase()] {
        let response = log_in(&tidegate, &ours.sign(&ours.claims_but(&json!({ "iss": url }))));
        assert_eq!(response.status, 401, "{}", response.text());
        assert!(reason(&response).contains("not trusted here"), "{}", response.text());
    }
    // The user of one is not the user of the other.
    let path = "/v2/team/app/x/manifests/v1";
    assert_eq!(get(&tidegate, path, &password(&ours.token())).status, 200);
    assert_eq!(get(&tidegate, path, &password(&theirs.token())).status, 403);
}

#[test]
fn wrong_tokens_are_refused_with_a_reason_that_has_no_value() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let settings = settings(&issuer, &recorder.url(), TEAM).set("auth.throttle", "{ failures = 0 }");
    let tidegate = Tidegate::start(settings);
    let changed = |changes: Value| issuer.sign(&issuer.claims_but(&changes));
    let secret = signer::sign_with_secret(b"x", &json!({ "alg": "HS256", "kid": "first" }), &issuer.claims());
    let none = format!("{}.", signer::message(&json!({ "alg": "none" }), &issuer.claims()));
    let stranger = Signer::stranger().sign(&json!({ "alg": "ES256", "kid": "first" }), &issuer.claims());
    for (trap, token, expected) in [
        ("audience_confusion", changed(json!({ "aud": "hunter2" })), "the claim aud is for another service"),
        ("audience_confusion", changed(json!({ "aud": null })), "the claim aud is missing"),
        ("alg_confusion", secret, "its algorithm is not accepted"),
        ("alg_confusion", none, "its algorithm is not accepted"),
        ("a stranger", stranger, "its signature is wrong"),
        ("clock", changed(json!({ "exp": now() - 61 })), "it has expired"),
        ("clock", changed(json!({ "nbf": now() + 300 })), "the claim nbf is a time that has not come"),
        ("clock", changed(json!({ "iat": now() + 300 })), "the claim iat is a time that has not come"),
        (
            "types_of_claims",
            changed(json!({ "project_path": ["hunter2"] })),
            "the claim project_path is a list and not a text",
        ),
        (
            "every_job_is_somebody",
            changed(json!({ "project_path": "hunter2" })),
            "the claim project_path is not what auth.issuer.require asks for",
        ),
        ("no subject", changed(json!({ "sub": null })), "the claim sub is missing"),
        ("control characters", changed(json!({ "project_path": "team/\n" })), "its claims make no user"),
    ] {
        for authorization in [password(&token), bearer(&token)] {
            let response = get(&tidegate, "/v2/", &authorization);
            assert_eq!(response.status, 401, "{trap}: {}", response.text());
            assert!(reason(&response).contains(expected), "{trap}: {}", response.text());
            let told = format!("{:?} {}", response.headers, response.text());
            assert!(!told.contains("hunter2"), "{trap}: {told}");
        }
    }
    assert_eq!(log_in(&tidegate, &issuer.token()).status, 200);
    let said = tidegate.log.so_far().join("\n") + &tidegate.access.so_far().join("\n");
    assert!(!said.contains("hunter2"), "{said}");
}

#[test]
fn tokens_sent_on_as_passwords() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = Fake::start({
        let seen = Arc::clone(&seen);
        move |conversation| {
            while let Some(head) = conversation.read_head() {
                seen.lock().unwrap().push(head);
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        }
    });
    let settings = settings(&issuer, &recorder.url(), TEAM)
        .set("auth.throttle", "{ failures = 0 }")
        .tables(&format!("\n[auth.http]\nurl = {:?}\n", service.url()));
    let tidegate = Tidegate::start(settings);
    let token = issuer.token();
    let (signed, _) = token.rsplit_once('.').unwrap();
    let unknown = issuer.sign(&issuer.claims_but(&json!({ "iss": "https://login.test" })));
    let strange = issuer.sign(&issuer.claims_but(&json!({ "iss": null }))).replacen('.', ".eyJpc3MiOjF9.", 1);
    let strange = strange.rsplit_once('.').unwrap().0.to_owned();
    for text in
        [format!("{token}\n"), format!(" {token}"), format!("{token}="), format!("{signed}."), strange]
    {
        let response = log_in(&tidegate, &text);
        assert_eq!(response.status, 401, "{}", response.text());
    }
    assert!(reason(&log_in(&tidegate, &unknown)).contains("not trusted here"));
    // A colon in the name makes the rest of it a part of the password.
    let authorization = format!("Authorization: {}", basic("gitlab:team/app", &token));
    assert_eq!(get(&tidegate, "/v2/", &authorization).status, 401);
    assert_eq!(log_in(&tidegate, &token).status, 200);
    assert_eq!(seen.lock().unwrap().len(), 0, "none of them is shown to a service");
    assert_eq!(log_in(&tidegate, "a password").status, 200);
    assert_eq!(seen.lock().unwrap().len(), 1);
}

#[test]
fn every_job_is_somebody() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    for rest in ["", "require = {}"] {
        let refusal = settings(&issuer, &recorder.url(), rest).refused();
        let said = refusal.output.join("\n");
        assert_eq!(refusal.code, 78, "{said}");
        assert!(said.contains("proxy.toml:") && said.contains("auth.issuer.require"), "{said}");
    }
}

#[test]
fn a_rule_for_every_user_grants_jobs_nothing() {
    let (issuer, _recorder, tidegate) = start();
    let authorization = password(&issuer.token());
    assert_eq!(get(&tidegate, "/v2/team/app/x/manifests/v1", &authorization).status, 200);
    assert_eq!(get(&tidegate, "/v2/house/x/manifests/v1", &authorization).status, 403);
    let user = format!("Authorization: {}", crate::harness::BASIC);
    assert_eq!(get(&tidegate, "/v2/house/x/manifests/v1", &user).status, 200);
}

#[test]
fn who_is_called_like_a_user_of_the_htpasswd_has_nothing_of_theirs() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let rule = "\n[[access]]\nusers = [\"testuser\"]\nrepositories = [\"own/**\"]\nactions = [\"pull\"]\n";
    let rest = "require = { project_path = \"team/**\" }\nuser = \"${sub}\"";
    let tidegate = Tidegate::start(settings(&issuer, &recorder.url(), rest).tables(rule));
    let path = "/v2/own/x/manifests/v1";
    let user = format!("Authorization: {}", crate::harness::BASIC);
    assert_eq!(get(&tidegate, path, &user).status, 200);
    for name in ["testuser", ":testuser", "*", "anonymous", "@testuser"] {
        let token = issuer.sign(&issuer.claims_but(&json!({ "sub": name })));
        for authorization in [password(&token), bearer(&token)] {
            assert_eq!(get(&tidegate, path, &authorization).status, 403, "{name}");
        }
        let authorization = format!("Authorization: {}", basic("testuser", &token));
        assert_eq!(get(&tidegate, path, &authorization).status, 403, "{name}");
    }
}

#[test]
fn wrong_tokens_of_one_network_are_throttled_and_right_ones_are_not() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let tidegate =
        Tidegate::start(settings(&issuer, &recorder.url(), TEAM).set("auth.throttle", "{ failures = 3 }"));
    let wrong = issuer.sign(&issuer.claims_but(&json!({ "aud": "other" })));
    let statuses: Vec<u16> = (0..5).map(|_| log_in(&tidegate, &wrong).status).collect();
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    assert_eq!(log_in(&tidegate, &issuer.token()).status, 200);
}

/// The example of the manual, with GitHub's claims for a run that an outsider can cause.
#[test]
fn pull_request_target_and_forks() {
    let page = include_str!("../../../docs/github-actions.md");
    let example = page.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let line = |key: &str| example.lines().find(|line| line.starts_with(key)).unwrap();
    let rest = format!("{}\n{}", line("require"), line("user"));
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let rules = RULES.replace("${user}/**", "octo-repo/**");
    let settings = Settings::for_upstream(&recorder.url()).set("auth.throttle", "{ failures = 0 }");
    std::fs::write(settings.path().join("issuer.crt"), issuer.ca()).unwrap();
    let tidegate = Tidegate::start(settings.tables(&entry(&issuer, "gitlab", &rest)).tables(&rules));
    let run = json!({
        "repository": "octo-org/octo-repo", "repository_id": "74", "repository_owner_id": "65",
        "ref": "refs/heads/main", "event_name": "push",
    });
    let with = |changes: Value| {
        let mut claims = run.clone();
        claims.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        log_in(&tidegate, &issuer.sign(&issuer.claims_but(&claims))).status
    };
    assert_eq!(with(json!({})), 200);
    for (whose, changes) in [
        ("a pull request", json!({ "ref": "refs/pull/7/merge", "event_name": "pull_request" })),
        ("a branch", json!({ "ref": "refs/heads/main/../x" })),
        ("a tag", json!({ "ref": "refs/tags/main" })),
        (
            "a fork",
            json!({ "repository": "other/octo-repo", "repository_id": "99", "repository_owner_id": "66" }),
        ),
        ("a new repository of the same name", json!({ "repository_id": "99" })),
        ("nobody knows", json!({ "ref": null })),
    ] {
        assert_eq!(with(changes), 401, "{whose}");
    }
}
