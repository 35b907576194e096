//! How clients send an ID token, and what they get for it.

use serde_json::{Value, json};

use super::*;
use crate::harness::http1;
use crate::harness::signer;

const MINE: &str = "/v2/team/app/image/manifests/v1";
const THEIRS: &str = "/v2/team/other/image/manifests/v1";

fn ask(tidegate: &Tidegate, query: &str, token: &str) -> Value {
    let response = get(tidegate, &format!("/auth/token?{query}"), &password(token));
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

fn refresh(tidegate: &Tidegate, token: &str) -> Response {
    let form = format!("grant_type=refresh_token&service=localhost&refresh_token={token}");
    let fields =
        ["Content-Type: application/x-www-form-urlencoded", &format!("Content-Length: {}", form.len())];
    let mut client = Client::connect(tidegate);
    client.send(http1::head("POST /auth/token", &fields) + &form);
    client.response(false).unwrap()
}

#[test]
fn a_token_is_a_password_under_any_name_and_a_bearer_in_both_modes() {
    for has_tokens in [false, true] {
        let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
        let settings = settings(&issuer, &recorder.url(), TEAM);
        let tidegate = Tidegate::start(if has_tokens { with_tokens(settings) } else { settings });
        let token = issuer.token();
        assert_eq!(get(&tidegate, MINE, &bearer(&token)).status, 200);
        assert_eq!(get(&tidegate, THEIRS, &bearer(&token)).status, 403);
        if !has_tokens {
            for user in ["", "oidc", "testuser", "<token>"] {
                let authorization = format!("Authorization: {}", basic(user, &token));
                assert_eq!(get(&tidegate, MINE, &authorization).status, 200, "{user}");
                assert_eq!(get(&tidegate, THEIRS, &authorization).status, 403, "{user}");
            }
        }
        let line = tidegate.access.wait_for("the request", |line| line.contains("team/app/image"));
        assert!(line.contains("gitlab:team/app") && line.contains("gitlab"), "{line}");
        assert!(!line.contains(&token), "{line}");
    }
}

#[test]
fn a_token_of_twelve_kilobytes_arrives_whole() {
    let (issuer, _recorder, tidegate) = start();
    let groups: Vec<String> =
        (0..200).map(|number| format!("department-{number}-of-a-realistic-length/team")).collect();
    let token = issuer.sign(&issuer.claims_but(&json!({ "groups": groups })));
    assert!(token.len() > 12_000 && token.len() < 16_384, "{}", token.len());
    for authorization in [password(&token), bearer(&token)] {
        let response = get(&tidegate, "/v2/", &authorization);
        assert_eq!(response.status, 200, "{}", response.text());
    }
}

#[test]
fn docker_gets_a_login_that_outlasts_the_token() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let settings = settings(&issuer, &recorder.url(), &format!("{TEAM}\nlogin_ttl = \"2h\""));
    let tidegate = Tidegate::start(with_tokens(settings).set("token.service", r#""localhost""#));
    let scope = "scope=repository:team/app/image:push,pull&scope=repository:team/other:pull";
    let answer = ask(&tidegate, &format!("{scope}&offline_token=true"), &issuer.token());
    let (_, access) = signer::open(answer["token"].as_str().unwrap());
    assert_eq!(access["sub"], "gitlab:team/app");
    let granted = access["access"].as_array().unwrap();
    assert_eq!((granted.len(), &granted[0]["name"]), (1, &json!("team/app/image")));
    let login = answer["refresh_token"].as_str().unwrap();
    let (_, claims) = signer::open(login);
    let life = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
    assert!((7200..7300).contains(&life), "{claims}");
    let response = refresh(&tidegate, login);
    assert_eq!(response.status, 200, "{}", response.text());
    let authorization = bearer(answer["token"].as_str().unwrap());
    assert_eq!(get(&tidegate, MINE, &authorization).status, 200);
}

#[test]
fn a_login_ends_with_the_entry_of_its_issuer() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let settings = settings(&issuer, &recorder.url(), TEAM);
    let tidegate = Tidegate::start(with_tokens(settings).set("token.service", r#""localhost""#));
    let answer = ask(&tidegate, "offline_token=true", &issuer.token());
    let login = answer["refresh_token"].as_str().unwrap();
    assert_eq!(refresh(&tidegate, login).status, 200);
    let file = tidegate.settings.file();
    let text = std::fs::read_to_string(&file).unwrap();
    let reload = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let start = tidegate.log.len();
        tidegate.signal(rustix::process::Signal::HUP);
        tidegate.log.wait_after(start, "the reload", |line| line.contains(" reloaded"));
    };
    reload(&text.replace("team/**", "team/app"));
    assert_eq!(refresh(&tidegate, login).status, 401);
    assert_eq!(get(&tidegate, "/auth/token", &password(&issuer.token())).status, 200);
}

#[test]
fn without_login_ttl_there_is_no_login() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let settings = settings(&issuer, &recorder.url(), &format!("{TEAM}\nlogin_ttl = \"0s\""));
    let tidegate = Tidegate::start(with_tokens(settings));
    let answer = ask(&tidegate, "offline_token=true", &issuer.token());
    assert!(answer.get("refresh_token").is_none() && answer["token"].is_string(), "{answer}");
}

#[test]
fn groups_of_a_token_count_in_rules() {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let rule =
        "\n[[access]]\nusers = [\"@gitlab:ops\"]\nrepositories = [\"infra/**\"]\nactions = [\"pull\"]\n";
    let settings = settings(&issuer, &recorder.url(), &format!("{TEAM}\ngroups = \"groups\"")).tables(rule);
    let tidegate = Tidegate::start(settings);
    for (groups, status) in
        [(json!(["dev", "ops"]), 200), (json!("ops"), 200), (json!(["dev"]), 403), (json!(null), 403)]
    {
        let token = issuer.sign(&issuer.claims_but(&json!({ "groups": groups })));
        assert_eq!(get(&tidegate, "/v2/infra/x/manifests/v1", &password(&token)).status, status, "{groups}");
    }
}
