//! The session in docs/audit-log.md gives exactly the lines that stand there.

use std::fs;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::{audited, ended, lines, parsed};
use crate::harness::basic;
use crate::harness::http1::Client;
use crate::harness::image::{push_tiny, put_manifest, tiny_manifest};
use crate::harness::registry::Registry;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::succeed;
use crate::harness::workstation::Workstation;

const RULES: &str = r#"
[[access]]
users = ["*"]
repositories = ["team/**"]
actions = ["pull"]

[[access]]
users = ["alice"]
repositories = ["team/**"]
actions = ["*"]
"#;

fn settings(settings: Settings) -> Settings {
    settings.write_users(&[("alice", "secret"), ("bob", "builder")]);
    settings.set("log.audit", r#""audit.log""#).tables(RULES)
}

/// The lines of the page.
fn documented() -> Vec<Value> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit-log.md");
    let page = fs::read_to_string(page).unwrap();
    let block = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().map(parsed).map(masked).collect()
}

/// A line without what differs from one session to the next.
fn masked(mut line: Value) -> Value {
    let is_certificate = line["event"] == "certificate";
    for (key, value) in line.as_object_mut().unwrap() {
        let is_other = match key.as_str() {
            "time" | "node" | "id" | "client" | "peer" | "digest" | "bytes" | "duration_ms" => true,
            "media_type" => value.as_str().is_some_and(|value| value.starts_with("application/vnd.")),
            "rule" => value.as_str().is_some_and(|value| value.starts_with("proxy.toml:")),
            "certificate" => is_certificate,
            "reason" => is_certificate && value.as_str().unwrap().contains("; valid until 20"),
            "user_agent" => {
                *value = Value::Null;
                false
            }
            _ => false,
        };
        if is_other && !value.is_null() {
            *value = json!("masked");
        }
    }
    line
}

/// The commands of the page that search in a log.
fn searches() -> Vec<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit-log.md");
    let page = fs::read_to_string(page).unwrap();
    page.lines().filter(|line| line.starts_with("jq ")).map(str::to_owned).collect()
}

#[test]
fn the_searches_find_what_they_say() {
    let folder = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/audit-log.md")).unwrap();
    let block = page.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    // The tenth line is lost.
    let kept = block.lines().filter(|line| !line.contains("\"seq\":10,"));
    fs::write(folder.path().join("audit.log"), kept.map(|line| format!("{line}\n")).collect::<String>())
        .unwrap();
    let found: Vec<String> = searches()
        .iter()
        .map(|search| {
            let place = folder.path().display().to_string();
            succeed("env", &["--chdir", &place, "sh", "-c", search]).trim_end().to_owned()
        })
        .collect();
    assert_eq!(found[0].split('\t').nth(2), Some("alice"), "{found:?}");
    assert_eq!((found[1].lines().count(), found[1].contains("bob")), (4, false), "{found:?}");
    assert!(found[2].ends_with("\talice\t192.0.2.1\tv1"), "{found:?}");
    assert_eq!((found[3].lines().count(), found[3].contains("bob")), (1, true), "{found:?}");
    assert_eq!(found[4], "1 lost after 9");
    assert_eq!(found.len(), 5);
}

fn compare(mut tidegate: Tidegate) {
    let real = ended(&mut tidegate);
    for (real, documented) in real.iter().zip(documented()) {
        assert_eq!(masked(real.clone()), documented, "{real}");
    }
    assert_eq!(real.len(), documented().len());
}

/// The operator sends SIGHUP, then replaces the certificate.
fn reload(tidegate: &Tidegate, host: &str) {
    let start = tidegate.log.len();
    tidegate.signal(Signal::HUP);
    tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
    let start = tidegate.log.len();
    let renewed = tidegate.settings.authority.issue_for("renewed", &[host]);
    renewed.write(tidegate.settings.path(), "server");
    tidegate.log.wait_after(start, "the new certificate", |line| line.contains("reloaded"));
}

#[test]
fn a_session_has_exactly_the_documented_lines() {
    let registry = Registry::start();
    let tidegate = Tidegate::start(settings(audited(&registry.url())));
    let user = |name: &str, password: &str| format!("Authorization: {}", basic(name, password));
    let (alice, bob) = (user("alice", "secret"), user("bob", "builder"));
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    let mut client = Client::connect(&tidegate);
    client.exchange("GET /v2/", &[]);
    assert_eq!(client.exchange("GET /v2/", &[&alice]).status, 200);
    let digest = push_tiny(&mut client, &alice, "team/app", "v1");
    let by_digest = format!("/v2/team/app/manifests/{digest}");
    assert_eq!(client.exchange("HEAD /v2/team/app/manifests/v1", &[&alice, accept]).status, 200);
    assert_eq!(client.exchange(&format!("GET {by_digest}"), &[&alice, accept]).status, 200);
    assert_eq!(client.exchange("GET /v2/", &[&bob]).status, 200);
    let (manifest, _) = tiny_manifest(b"{}", "v1");
    assert_eq!(put_manifest(&mut client, &bob, "team/app", "v1", &manifest).status, 403);
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange(&format!("DELETE {by_digest}"), &[&alice]).status, 202);
    assert_eq!(client.exchange("GET /v2/", &[&user("bob", "wrong")]).status, 401);
    drop(client);
    reload(&tidegate, "localhost");
    compare(tidegate);
}

#[test]
fn docker_has_exactly_the_documented_lines() {
    let Some(setup) = Workstation::start(settings) else { return };
    let image = setup.image("team/app:v1");
    let docker = |arguments: &[&str]| {
        let run = setup.engine.docker(arguments);
        assert!(run.success, "{arguments:?}: {}", run.stderr);
    };
    let login = |user: &str, password: &str| {
        let words = ["login", "--username", user, "--password", password, &setup.host];
        setup.engine.docker(&words).success
    };
    assert!(login("alice", "secret"));
    setup.docker_import("team/app:v1");
    docker(&["push", &image]);
    docker(&["rmi", &image]);
    docker(&["pull", &image]);
    assert!(login("bob", "builder"));
    let refused = setup.engine.docker(&["push", &image]);
    assert!(refused.stderr.contains("may not push"), "{}", refused.stderr);
    let file = setup.tidegate.settings.path().join("audit.log");
    let pushed = lines(&file).into_iter().find(|line| line["event"] == "push").unwrap();
    let manifest =
        format!("https://{}/v2/team/app/manifests/{}", setup.host, pushed["digest"].as_str().unwrap());
    let deleted = setup.curl(&["--fail", "--user", "alice:secret", "--request", "DELETE", &manifest]);
    assert!(deleted.success, "{}", deleted.stderr);
    assert!(!login("bob", "wrong"));
    reload(&setup.tidegate, crate::harness::engine::ADDRESS);
    // The engine's namespace has to last until tidegate has ended in it.
    let Workstation { tidegate, engine, .. } = setup;
    compare(tidegate);
    drop(engine);
}
