//! `[[auth.issuer]]`: jobs and pods that sign in with an ID token.

mod clients;
mod keys;
mod traps;

use crate::harness::basic;
use crate::harness::http1::{Client, Response};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::token_issuer::{AUDIENCE, TokenIssuer};
use crate::harness::tools::succeed;

const RULES: &str = r#"
[[access]]
users = ["gitlab:*"]
repositories = ["${user}/**"]
actions = ["pull", "push"]

[[access]]
users = ["*"]
repositories = ["house/**"]
actions = ["pull"]
"#;

/// What the entry has by default beside its name, its URL and its root.
const TEAM: &str = "require = { project_path = \"team/**\" }\nuser = \"${project_path}\"";

/// Settings with this issuer as `gitlab`.
fn settings(issuer: &TokenIssuer, upstream: &str, rest: &str) -> Settings {
    let settings = Settings::for_upstream(upstream);
    std::fs::write(settings.path().join("issuer.crt"), issuer.ca()).unwrap();
    settings.tables(&entry(issuer, "gitlab", rest)).tables(RULES)
}

fn entry(issuer: &TokenIssuer, name: &str, rest: &str) -> String {
    let url = issuer.url();
    format!(
        "\n[[auth.issuer]]\nname = {name:?}\nurl = {url:?}\naudience = [{AUDIENCE:?}]\nca = \"issuer.crt\"\n{rest}\n"
    )
}

/// Token mode with a key that lasts.
fn with_tokens(settings: Settings) -> Settings {
    let key = settings.path().join("token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", &key]);
    settings.set("auth.mode", r#""token""#).set("token.key", r#""token.key""#)
}

fn start() -> (TokenIssuer, Recorder, Tidegate) {
    let (issuer, recorder) = (TokenIssuer::start(), Recorder::start());
    let tidegate = Tidegate::start(settings(&issuer, &recorder.url(), TEAM));
    (issuer, recorder, tidegate)
}

/// Asks for the API with the token as a password.
fn log_in(tidegate: &Tidegate, token: &str) -> Response {
    get(tidegate, "/v2/", &password(token))
}

fn get(tidegate: &Tidegate, path: &str, authorization: &str) -> Response {
    Client::connect(tidegate).exchange(&format!("GET {path}"), &[authorization])
}

fn password(token: &str) -> String {
    format!("Authorization: {}", basic("oidc", token))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}")
}
