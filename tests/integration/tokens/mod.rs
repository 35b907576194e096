//! Token mode: requesting tokens, their content and their validity.

mod as_passwords;
mod asking;
mod beside_a_registry;
mod certificates;
mod challenges;
mod forgeries;
mod logins;
mod mounts;

use std::path::PathBuf;

use serde_json::Value;

use crate::harness::basic;
use crate::harness::http1::{self, Client, Response};
use crate::harness::recorder::Recorder;
use crate::harness::signer;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::succeed;

const RULES: &str = r#"
[[access]]
users = ["anonymous"]
repositories = ["public/**"]
actions = ["pull"]

[[access]]
users = ["alice"]
repositories = ["public/**", "team/**"]
actions = ["pull", "push"]

[[access]]
users = ["root"]
repositories = ["**"]
actions = ["*"]
"#;

const SERVICE: &str = "registry.test";
const ALICE: (&str, &str) = ("alice", "wonderland");
const BOB: (&str, &str) = ("bob", "builder");
const ROOT: (&str, &str) = ("root", "hunter2");

/// Settings for token mode with a key file.
fn settings(upstream: &str) -> Settings {
    let settings = Settings::for_upstream(upstream)
        .set("auth.mode", r#""token""#)
        .set("token.service", &format!("{SERVICE:?}"))
        .set("token.key", r#""token.key""#)
        .tables(RULES);
    settings.write_users(&[ALICE, BOB, ROOT]);
    make_key(&settings, &[]);
    settings
}

fn make_key(settings: &Settings, options: &[&str]) {
    let key = settings.path().join("token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &[&["token", &key], options].concat());
}

fn start() -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(settings(&recorder.url()));
    (recorder, tidegate)
}

fn file(tidegate: &Tidegate, name: &str) -> PathBuf {
    tidegate.settings.path().join(name)
}

fn authorization((user, password): (&str, &str)) -> String {
    format!("Authorization: {}", basic(user, password))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}

fn get(client: &mut Client, query: &str, user: Option<(&str, &str)>) -> Response {
    let field = user.map(authorization);
    let fields: Vec<&str> = field.iter().map(String::as_str).collect();
    client.exchange(&format!("GET /auth/token?{query}"), &fields)
}

/// Posts a form to the token endpoint. Its values must be escaped already.
fn post(client: &mut Client, form: &str) -> Response {
    let length = format!("Content-Length: {}", form.len());
    let kind = "Content-Type: application/x-www-form-urlencoded; charset=utf-8";
    client.send(http1::head("POST /auth/token", &[kind, &length]));
    client.send(form);
    client.response(false).unwrap()
}

fn json(response: &Response) -> Value {
    assert_eq!(response.status, 200, "{}", response.text());
    serde_json::from_slice(&response.body).unwrap()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not text")).to_owned()
}

/// The token in an answer.
fn token(response: &Response) -> String {
    text(&json(response)["token"])
}

/// Gets a token for these scopes from the endpoint.
fn obtain(client: &mut Client, user: Option<(&str, &str)>, scopes: &[&str]) -> String {
    let scopes: Vec<String> = scopes.iter().map(|scope| format!("scope={scope}")).collect();
    token(&get(client, &scopes.join("&"), user))
}

/// The rights in a token, as scopes.
fn allowed(token: &str) -> Vec<String> {
    let (_, claims) = signer::open(token);
    let scope = |entry: &Value| {
        let actions: Vec<&str> =
            entry["actions"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        format!("{}:{}:{}", text(&entry["type"]), text(&entry["name"]), actions.join(","))
    };
    claims["access"].as_array().unwrap().iter().map(scope).collect()
}
