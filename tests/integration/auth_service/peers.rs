//! nginx and Caddy as services, with the settings of docs/auth-service.md.

use std::fs;

use super::{ask, line, login, settings};
use crate::harness::authority::Authority;
use crate::harness::recorder::Recorder;
use crate::harness::service::Service;
use crate::harness::tidegate::{self, Tidegate};

const PAGE: &str = include_str!("../../../docs/auth-service.md");

/// The block of this language in the page.
fn block(language: &str) -> String {
    let (_, rest) = PAGE.split_once(&format!("```{language}\n")).unwrap();
    rest.split_once("```").unwrap().0.to_owned()
}

/// alice may pull, and nobody else may do anything.
fn judges(tidegate: &Tidegate, agent: &str) {
    let pull = "GET /v2/team/app/tags/list";
    assert_eq!(ask(tidegate, pull, "alice", "secret", &[&format!("User-Agent: {agent}")]).status, 200);
    assert_eq!(line(tidegate, agent)["user"], "alice");
    for (user, password) in [("alice", "wrong"), ("bob", "secret"), ("alice", "secret:x")] {
        assert_eq!(login(tidegate, user, password).status, 401, "{user}");
    }
}

#[test]
fn nginx_judges() {
    let service = Service::of_nginx(&block("nginx"));
    let users = service.folder.path().join("registry-users");
    // The cheapest hash that nginx has, beside none.
    fs::write(&users, "alice:{PLAIN}secret\n").unwrap();
    let recorder = Recorder::start();
    judges(&Tidegate::start(settings(&recorder.url(), &service.url)), "by-nginx/1");
}

#[test]
fn caddy_judges_under_tls() {
    let authority = Authority::new();
    let hash = tidegate::htpasswd(&[("alice", "secret")], 4);
    let (_, hash) = hash.trim_end().split_once(':').unwrap();
    let site = block("caddy");
    let (before, rest) = site.split_once("alice ").unwrap();
    let (_, after) = rest.split_once('\n').unwrap();
    let service = Service::of_caddy(&format!("{before}alice {hash}\n{after}"), &authority);
    let recorder = Recorder::start();
    // For users that it does not know, caddy computes a hash of its usual cost.
    let trusting = settings(&recorder.url(), &service.url)
        .set("auth.http.ca", r#""service.crt""#)
        .set("auth.http.timeout", r#""30s""#);
    fs::write(trusting.path().join("service.crt"), authority.pem()).unwrap();
    judges(&Tidegate::start(trusting), "by-caddy/1");

    let stranger = settings(&recorder.url(), &service.url).set("auth.http.ca", r#""ca.crt""#);
    let stranger = Tidegate::start(stranger);
    assert_eq!(login(&stranger, "alice", "secret").status, 503);
    stranger.log.wait_for("the cause", |line| line.contains("invalid peer certificate"));
}
