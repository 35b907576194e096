//! `[auth.ldap]`: people of a directory, which is a real slapd. What tidegate and the directory say
//! to each other in detail is tested beside `src/auth/ldap`.

mod failures;
mod logins;
mod throttled;
mod tokens;

use serde_json::Value;

use crate::harness::basic;
use crate::harness::http1::{Client, Response};
use crate::harness::recorder::Recorder;
use crate::harness::slapd::Slapd;
use crate::harness::tidegate::{Settings, Tidegate};

/// Developers may do everything in `team`, and everybody in a folder of their own.
const RULES: &str = "[[access]]\nusers = ['@ldap:developers']\nrepositories = ['team/**']\nactions = ['*']\n\
                     [[access]]\nusers = ['*']\nrepositories = ['${user}/**']\nactions = ['*']\n";

const ALICE: (&str, &str) = ("alice", "alice-password");
const BOB: (&str, &str) = ("bob", "bob-password");

/// A tidegate that asks the directory by `ldaps`, behind a trusted load balancer on this machine.
fn start(slapd: &Slapd, change: impl FnOnce(Settings) -> Settings) -> (Recorder, Tidegate) {
    start_at(slapd, &slapd.ldaps(), change)
}

fn start_at(slapd: &Slapd, server: &str, change: impl FnOnce(Settings) -> Settings) -> (Recorder, Tidegate) {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.trusted_proxies", r#"["127.0.0.1"]"#)
        .set("auth.ldap.timeout", r#""20s""#)
        .tables(RULES);
    let tidegate = Tidegate::start(change(slapd.judging(settings, server)));
    (recorder, tidegate)
}

fn ask(tidegate: &Tidegate, request: &str, user: (&str, &str), more: &[&str]) -> Response {
    Client::connect(tidegate).exchange(request, &[&[authorization(user).as_str()], more].concat())
}

fn login(tidegate: &Tidegate, user: (&str, &str)) -> Response {
    ask(tidegate, "GET /v2/", user, &[])
}

/// A login by a client at this address.
fn login_from(tidegate: &Tidegate, address: &str, user: (&str, &str)) -> u16 {
    ask(tidegate, "GET /v2/", user, &[&format!("X-Forwarded-For: {address}")]).status
}

fn authorization((user, password): (&str, &str)) -> String {
    format!("Authorization: {}", basic(user, password))
}

/// The log line of the request with this user agent.
fn line(tidegate: &Tidegate, agent: &str) -> Value {
    let line = tidegate.access.wait_for(agent, |line| line.contains(agent));
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line}"))
}
