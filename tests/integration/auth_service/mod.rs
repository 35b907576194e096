//! `[auth.http]`: logins that a service of the operator judges.

mod answers;
mod asking;
mod peers;
mod python;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::harness::basic;
use crate::harness::http1::{Client, Response};
use crate::harness::tidegate::{Settings, Tidegate};

/// Members of `dev` may do everything, others may pull.
const RULES: &str = "[[access]]\nusers = ['@http:dev']\nrepositories = ['**']\nactions = ['*']\n\
                     [[access]]\nusers = ['*']\nrepositories = ['**', '${user}/**']\nactions = ['pull']\n";

const SECRET: &str = "between us";

/// A tidegate whose users are judged at `url`, beside the one of the htpasswd file.
fn settings(registry: &str, url: &str) -> Settings {
    let settings = Settings::for_upstream(registry).set("auth.http.url", &format!("{url:?}")).tables(RULES);
    let file = settings.path().join("secret");
    fs::write(&file, format!("{SECRET}\n")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    settings
}

/// One request of a user, on a connection of its own.
fn ask(tidegate: &Tidegate, request: &str, user: &str, password: &str, more: &[&str]) -> Response {
    let credentials = format!("Authorization: {}", basic(user, password));
    Client::connect(tidegate).exchange(request, &[&[credentials.as_str()], more].concat())
}

fn login(tidegate: &Tidegate, user: &str, password: &str) -> Response {
    ask(tidegate, "GET /v2/", user, password, &[])
}

/// The log line of the request with this user agent.
fn line(tidegate: &Tidegate, agent: &str) -> Value {
    let line = tidegate.access.wait_for(agent, |line| line.contains(agent));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
}
