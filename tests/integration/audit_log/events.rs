//! Which request has which line.

use std::fs;
use std::sync::{Mutex, mpsc};

use rcgen::SerialNumber;
use rustix::process::Signal;

use super::{audited, ended, shortened};
use crate::harness::client_ca::ClientCa;
use crate::harness::fake::{Fake, refusing};
use crate::harness::http1::{self, Client, authorized};
use crate::harness::image::{push_tiny, put_manifest, sha256, tiny_manifest};
use crate::harness::recorder::Recorder;
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::harness::tools::succeed;
use crate::harness::{PASSWORD, USER, basic};

const RULES: &str = r#"
[[access]]
users = ["*"]
repositories = ["team/**"]
actions = ["pull"]

[[access]]
users = ["testuser"]
repositories = ["team/app"]
actions = ["push", "delete"]
"#;

fn other(user: &str, password: &str) -> String {
    format!("Authorization: {}", basic(user, password))
}

#[test]
fn a_session_has_one_line_for_each_event() {
    let registry = Registry::start();
    let settings = audited(&registry.url()).tables(RULES);
    settings.write_users(&[(USER, PASSWORD), ("bob", "secret")]);
    let mut tidegate = Tidegate::start(settings);
    let (user, bob) = (authorized(), other("bob", "secret"));
    let mut client = Client::connect(&tidegate);
    // What `docker login` does.
    client.exchange("GET /v2/", &[]);
    assert_eq!(client.exchange("GET /v2/", &[&user]).status, 200);
    let digest = push_tiny(&mut client, &user, "team/app", "v1");
    let agent = "User-Agent: reader/1";
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    assert_eq!(client.exchange("HEAD /v2/team/app/manifests/v1", &[&user, accept]).status, 200);
    assert_eq!(client.exchange("GET /v2/team/app/manifests/v1", &[&bob, agent, accept]).status, 200);
    let by_digest = format!("/v2/team/app/manifests/{digest}");
    assert_eq!(client.exchange(&format!("GET {by_digest}"), &[&bob, accept]).status, 200);
    assert_eq!(client.exchange("GET /v2/team/app/tags/list", &[&bob]).status, 200);
    assert_eq!(client.exchange("GET /v2/team/app/manifests/none", &[&bob]).status, 404);
    assert_eq!(client.exchange(&format!("DELETE {by_digest}"), &[&bob]).status, 403);
    assert_eq!(client.exchange(&format!("DELETE {by_digest}"), &[&user]).status, 202);
    assert_eq!(client.exchange("GET /v2/", &[&other("bob", "wrong")]).status, 401);
    // Not a user's name; it may be a password.
    assert_eq!(client.exchange("GET /v2/", &[&other("hunter2", "wrong")]).status, 401);
    drop(client);
    let lines = ended(&mut tidegate);
    assert_eq!(
        shortened(&lines),
        [
            "start success",
            "login success testuser",
            "push success testuser team/app v1 201",
            "login success bob",
            "pull success bob team/app v1 200",
            "pull success bob team/app 200",
            "pull failure bob team/app none 404",
            "refused denied bob team/app 403",
            "delete success testuser team/app 202",
            "login failure bob 401",
            "login failure 401",
            "stop success",
        ]
    );
    let (push, pull, delete) = (&lines[2], &lines[4], &lines[8]);
    let manifest = tiny_manifest(b"{}", "v1").0;
    for line in [push, pull] {
        assert_eq!(
            (&line["digest"], &line["bytes"]),
            (&digest.clone().into(), &manifest.len().into()),
            "{line}"
        );
        assert_eq!(line["media_type"], "application/vnd.oci.image.manifest.v1+json", "{line}");
    }
    assert_eq!((&delete["digest"], &delete["bytes"]), (&digest.clone().into(), &().into()), "{delete}");
    // Both rules together allow the push: pull and push.
    let (pulls, changes) = (&pull["rule"], &delete["rule"]);
    assert_eq!(push["rule"], format!("{}, {}", pulls.as_str().unwrap(), changes.as_str().unwrap()));
    assert_eq!(changes, "proxy.toml:18");
    assert_eq!((&pull["authentication"], &pull["user_agent"]), (&"password".into(), &"reader/1".into()));
    assert_eq!((&pull["client"], &pull["peer"]), (&"127.0.0.1".into(), &"127.0.0.1".into()));
    assert_eq!(
        (&lines[7]["reason"], &lines[7]["digest"]),
        (&"this user may not do this".into(), &digest.into())
    );
    assert_eq!(lines[9]["claimed"], "bob");
    assert_eq!(lines[9]["reason"], "wrong user or password");
    assert!(lines[0]["reason"].as_str().unwrap().starts_with("tidegate "), "{}", lines[0]);
    assert_eq!(lines[11]["reason"], "SIGTERM");
}

#[test]
fn reloads_and_new_certificates_have_lines() {
    let recorder = Recorder::start();
    let mut tidegate = Tidegate::start(audited(&recorder.url()));
    let reload = |what: &str| {
        let start = tidegate.log.len();
        tidegate.signal(Signal::HUP);
        tidegate.log.wait_after(start, what, |line| line.contains(what));
    };
    reload("reloaded");
    let file = tidegate.settings.file();
    let sound = fs::read_to_string(&file).unwrap();
    fs::write(&file, "[server]\nlisten = 1\n").unwrap();
    reload("not reloaded");
    fs::write(&file, sound).unwrap();
    reload("reloaded");
    let start = tidegate.log.len();
    tidegate.settings.authority.issue("second").write(tidegate.settings.path(), "server");
    tidegate.log.wait_after(start, "the new certificate", |line| line.contains("reloaded"));
    let lines = ended(&mut tidegate);
    let reasons: Vec<String> = lines
        .iter()
        .map(|line| {
            let words =
                ["event", "outcome", "certificate", "reason"].iter().filter_map(|key| line[key].as_str());
            words.collect::<Vec<_>>().join(" | ")
        })
        .collect();
    // The file may be noticed before the signal.
    let sorted: Vec<&str> =
        reasons.iter().map(String::as_str).filter(|reason| !reason.contains("a file has changed")).collect();
    assert_eq!(sorted[1], "reload | success | SIGHUP");
    assert!(
        sorted[2].starts_with("reload | failure | SIGHUP: ") && sorted[2].contains("proxy.toml:"),
        "{sorted:?}"
    );
    assert_eq!(sorted[3], "reload | success | SIGHUP");
    assert!(
        sorted[4].starts_with("certificate | success | ")
            && sorted[4].contains("localhost")
            && sorted[4].contains("; valid until 20"),
        "{sorted:?}"
    );
    assert_eq!(sorted.len(), 6, "{sorted:?}");
    let certificate = reasons.iter().position(|reason| reason.starts_with("certificate")).unwrap();
    assert_eq!(reasons[certificate - 1], "reload | success | a file has changed");
}

#[test]
fn blobs_have_lines_if_that_is_wanted() {
    let registry = Registry::start();
    let mut tidegate = Tidegate::start(audited(&registry.url()).set("log.audit_uploads", "true"));
    let user = authorized();
    let mut client = Client::connect(&tidegate);
    push_tiny(&mut client, &user, "team/base", "v1");
    let digest = format!("sha256:{}", sha256(b"{}"));
    let mount = format!("POST /v2/team/app/blobs/uploads/?mount={digest}&from=team/base");
    assert_eq!(client.exchange(&mount, &[&user, "Content-Length: 0"]).status, 201);
    let begun = client.exchange("POST /v2/team/app/blobs/uploads/", &[&user, "Content-Length: 0"]);
    let location = begun.all("location")[0];
    let location = &location[location.find("/v2/").unwrap()..];
    client.send(http1::head(&format!("PUT {location}&digest={digest}"), &[&user, "Content-Length: 5"]));
    client.send(b"wrong");
    assert_eq!(client.response(false).unwrap().status, 400);
    assert_eq!(client.exchange(&format!("DELETE /v2/team/app/blobs/{digest}"), &[&user]).status, 202);
    let lines = ended(&mut tidegate);
    assert_eq!(
        shortened(&lines)[1..lines.len() - 1],
        [
            "login success testuser",
            "upload success testuser team/base 201",
            "push success testuser team/base v1 201",
            "upload success testuser team/app 201",
            "upload failure testuser team/app 400",
            "delete success testuser team/app 202",
        ]
    );
    for line in [&lines[2], &lines[4], &lines[6]] {
        assert_eq!(line["digest"], digest, "{line}");
        assert!(line["tag"].is_null() && line["media_type"].is_null(), "{line}");
    }
    assert_eq!((&lines[4]["from"], &lines[4]["bytes"]), (&"team/base".into(), &0.into()));
}

#[test]
fn a_push_names_every_tag_that_it_sets() {
    let recorder = Recorder::start();
    let mut tidegate = Tidegate::start(audited(&recorder.url()));
    let (manifest, digest) = tiny_manifest(b"{}", "x");
    let mut client = Client::connect(&tidegate);
    let long = format!("{digest}?tag={}&tag=v1&tag={}&x=secret", "a".repeat(128), "z".repeat(128));
    assert_eq!(put_manifest(&mut client, &authorized(), "team/app", &long, &manifest).status, 200);
    let lines = ended(&mut tidegate);
    let tags = lines[2]["tag"].as_str().unwrap();
    assert_eq!(tags.split(',').map(str::len).collect::<Vec<_>>(), [128, 2, 128], "{tags}");
    assert_eq!(lines[2]["digest"], digest);
    assert!(lines.iter().all(|line| !line.to_string().contains("secret")));
}

#[test]
fn what_a_policy_or_a_dead_registry_refuses_has_a_line() {
    let settings = audited(&refusing()).set("policy.read_only", "true");
    let mut tidegate = Tidegate::start(settings);
    let (manifest, _) = tiny_manifest(b"{}", "x");
    let user = authorized();
    let mut client = Client::connect(&tidegate);
    assert_eq!(put_manifest(&mut client, &user, "team/app", "v1", &manifest).status, 405);
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/team/app/manifests/v1", &[&user]).status, 502);
    assert_eq!(client.exchange("GET /v2/team/app/blobs/uploads/x", &[&user]).status, 502);
    assert_eq!(client.exchange("GET /v2/nothing", &[&user]).status, 404);
    assert_eq!(client.exchange("GET /elsewhere", &[&user]).status, 404);
    let lines = ended(&mut tidegate);
    assert_eq!(
        shortened(&lines)[2..lines.len() - 1],
        ["refused denied testuser team/app v1 405", "pull failure testuser team/app v1 502"]
    );
    assert!(lines[2]["reason"].as_str().unwrap().contains("read-only"), "{}", lines[2]);
    assert!(lines[3]["reason"].is_string(), "{}", lines[3]);
}

/// A client pushes a manifest and leaves. The registry then gives this answer, or hangs up.
fn line_of_a_push_without_a_client(answer: Option<&str>) -> serde_json::Value {
    let (manifest, _) = tiny_manifest(b"{}", "x");
    let length = manifest.len();
    let (told, asked) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let (answer, left) = (answer.map(str::to_owned), Mutex::new(left));
    let fake = Fake::start(move |conversation| {
        conversation.read_head();
        let mut missing = length;
        while missing > 0 {
            missing -= conversation.read_some().unwrap().len();
        }
        told.send(()).unwrap();
        left.lock().unwrap().recv().unwrap();
        if let Some(answer) = &answer {
            conversation.write(answer.as_bytes());
        }
    });
    let mut tidegate = Tidegate::start(audited(&fake.url()));
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(
        "PUT /v2/team/app/manifests/v1",
        &[&authorized(), &format!("Content-Length: {length}")],
    ));
    client.send(&manifest);
    asked.recv().unwrap();
    drop(client);
    tidegate.access.wait_for("the push", |line| line.contains("manifest-put"));
    leave.send(()).unwrap();
    let lines = ended(&mut tidegate);
    assert_eq!(lines.len(), 4, "{lines:?}");
    assert_eq!(lines[2]["bytes"], length);
    lines[2].clone()
}

#[test]
fn the_line_of_a_push_whose_client_leaves_says_what_the_registry_did() {
    let digest = format!("sha256:{}", sha256(b"x"));
    let created =
        format!("HTTP/1.1 201 Created\r\nDocker-Content-Digest: {digest}\r\nContent-Length: 0\r\n\r\n");
    let line = line_of_a_push_without_a_client(Some(&created));
    assert_eq!(super::short(&line), "push success testuser team/app v1 201");
    assert_eq!(
        (&line["digest"], &line["reason"]),
        (&digest.into(), &"the client left before the answer".into())
    );
    let line = line_of_a_push_without_a_client(None);
    assert_eq!(super::short(&line), "push failure testuser team/app v1 499");
    assert_eq!(line["reason"], "the client left before the answer; the registry may have done it");
}

/// A token server, with a key that lasts.
fn with_tokens(recorder: &Recorder) -> Settings {
    let settings = audited(&recorder.url())
        .set("auth.mode", r#""token""#)
        .set("token.service", r#""registry.test""#)
        .set("token.key", r#""token.key""#)
        .tables(RULES);
    settings.write_users(&[(USER, PASSWORD), ("bob", "secret")]);
    let key = settings.path().join("token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", &key]);
    settings
}

#[test]
fn tokens_and_revoked_logins_have_lines() {
    let recorder = Recorder::start();
    let mut tidegate = Tidegate::start(with_tokens(&recorder));
    let mut client = Client::connect(&tidegate);
    let mut ask = |query: &str, user: Option<&str>| {
        let fields: Vec<&str> = user.into_iter().collect();
        let answer = client.exchange(&format!("GET /auth/token?service=registry.test{query}"), &fields);
        let value: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        (answer.status, text("token"), text("refresh_token"))
    };
    let bob = other("bob", "secret");
    // What `docker login` does, twice; then a pull without a right to push.
    let (_, _, identity) = ask("&offline_token=true", Some(&bob));
    ask("&offline_token=true", Some(&bob));
    let (_, token, _) = ask("&scope=repository:team/app:pull,push", Some(&bob));
    assert_eq!(ask("&scope=repository:team/app:pull", None).0, 200);
    let form = format!(
        "grant_type=refresh_token&service=registry.test&scope=repository:team/x:pull&refresh_token={identity}"
    );
    let refresh = |client: &mut Client| {
        let length = format!("Content-Length: {}", form.len());
        client.send(http1::head(
            "POST /auth/token",
            &[&length, "Content-Type: application/x-www-form-urlencoded"],
        ));
        client.send(&form);
        client.response(false).unwrap().status
    };
    assert_eq!(refresh(&mut client), 200);
    let key = tidegate.settings.path().join("token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", "revoke", &key, "bob"]);
    assert_eq!(refresh(&mut client), 401);
    let mut client = Client::connect(&tidegate);
    let bearer = format!("Authorization: Bearer {token}");
    assert_eq!(client.exchange("GET /v2/", &[&bearer]).status, 200);
    assert_eq!(client.exchange("GET /v2/team/app/manifests/v1", &[&bearer]).status, 200);
    let (manifest, _) = tiny_manifest(b"{}", "x");
    assert_eq!(put_manifest(&mut client, &bearer, "team/app", "v1", &manifest).status, 401);
    drop(client);
    let lines = ended(&mut tidegate);
    let words = |line: &serde_json::Value| {
        let keys = ["event", "outcome", "user", "claimed", "authentication", "status", "reason"];
        let shown: Vec<String> = keys
            .iter()
            .filter(|key| !line[key].is_null())
            .map(|key| line[key].as_str().map_or_else(|| line[key].to_string(), str::to_owned))
            .collect();
        shown.join(" ")
    };
    let told: Vec<String> = lines[1..lines.len() - 1].iter().map(words).collect();
    assert_eq!(
        told,
        [
            "login success bob password",
            "token success bob password 200",
            "login success bob password",
            "token success bob password 200",
            "token success bob password 200 repository:team/app:pull",
            "token success 200",
            "token success bob token 200 repository:team/x:pull",
            "revoked denied bob 401 the login was revoked",
            "pull success bob token 200",
            "refused denied bob token 401 this user may not do this",
        ]
    );
}

#[test]
fn a_revoked_certificate_has_a_line_and_one_from_elsewhere_too() {
    let recorder = Recorder::start();
    let settings = audited(&recorder.url())
        .set("auth.mode", r#""off""#)
        .set("tls.client.verify", r#""required""#)
        .set("tls.client.ca", r#""clients.crt""#)
        .set("tls.client.crl", r#"["clients.crl"]"#);
    let client_ca = ClientCa::new(settings.path());
    client_ca.issue("machine", |params| params.serial_number = Some(SerialNumber::from(5)));
    client_ca.self_signed("elsewhere");
    let mut tidegate = Tidegate::start(settings);
    let connect = |who: &str| {
        let config = tidegate.settings.authority.client_showing(&client_ca.file(who));
        Client::over(Tls::connect_with(tidegate.address, config).unwrap())
    };
    let mut machine = connect("machine");
    let pull = "GET /v2/team/app/manifests/v1";
    assert_eq!(machine.exchange(pull, &[]).status, 200);
    client_ca.revoke(&[5]);
    assert_eq!(machine.exchange(pull, &[]).status, 403);
    assert_eq!(connect("elsewhere").exchange(pull, &[]).status, 403);
    assert_eq!(Client::connect(&tidegate).exchange(pull, &[]).status, 403);
    drop(machine);
    let lines = ended(&mut tidegate);
    assert_eq!(
        shortened(&lines)[1..lines.len() - 1],
        [
            "pull success machine team/app v1 200",
            "revoked denied team/app v1 403",
            "refused denied team/app v1 403"
        ]
    );
    assert_eq!(
        (&lines[1]["authentication"], &lines[1]["certificate"]),
        (&"certificate".into(), &"machine".into())
    );
    assert_eq!((&lines[2]["certificate"], &lines[2]["user"]), (&"machine".into(), &().into()));
    assert_eq!(lines[2]["reason"], "the client certificate is revoked");
    assert_eq!(lines[3]["certificate"], "elsewhere");
}

#[test]
fn a_pull_that_fails_has_not_the_media_type_of_the_error() {
    let registry = Registry::start();
    let mut tidegate = Tidegate::start(audited(&registry.url()).tables(RULES));
    let answer = Client::connect(&tidegate).exchange("GET /v2/team/app/manifests/none", &[&authorized()]);
    assert_eq!(answer.status, 404);
    assert!(answer.all("content-type")[0].starts_with("application/json"));
    let lines = ended(&mut tidegate);
    let pull = lines.iter().find(|line| line["event"] == "pull").unwrap();
    assert!(pull["media_type"].is_null(), "{pull}");
}

#[test]
fn a_push_that_was_never_sent_is_not_said_to_be_done_perhaps() {
    let (told, asked) = mpsc::channel();
    let (leave, left) = mpsc::channel::<()>();
    let left = Mutex::new(left);
    // It is only asked whether the tag exists.
    let fake = Fake::start(move |conversation| {
        told.send(conversation.read_head()).unwrap();
        _ = left.lock().unwrap().recv();
    });
    let settings = audited(&fake.url()).set("policy.immutable_tags", r#"["**:v*"]"#);
    let mut tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let (manifest, _) = tiny_manifest(b"{}", "x");
    let length = format!("Content-Length: {}", manifest.len());
    client.send(http1::head("PUT /v2/team/app/manifests/v1", &[&authorized(), &length]));
    client.send(&manifest);
    asked.recv().unwrap();
    drop(client);
    tidegate.access.wait_for("the push", |line| line.contains("manifest-put"));
    drop(leave);
    let lines = ended(&mut tidegate);
    let push = lines.iter().find(|line| line["event"] == "push").unwrap();
    assert_eq!(super::short(push), "push failure testuser team/app v1 499");
    assert_eq!(push["reason"], "the client left before the request was sent to the registry");
}
