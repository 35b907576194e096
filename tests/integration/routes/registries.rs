//! Real registries, a real mirror, and real clients.

use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value;

use super::{AUTH, ask, shows_no_inner_name};
use crate::harness::fake::Fake;
use crate::harness::http1::{Client, Response};
use crate::harness::image::{
    finish_upload, push_tiny, put_manifest, sha256, tiny_manifest, upload, write_image,
};
use crate::harness::registry::Registry;
use crate::harness::signer;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::succeed;
use crate::harness::workstation::Workstation;
use crate::harness::{DEADLINE, PASSWORD, USER, basic};

/// Stands before a registry and keeps what it is sent.
struct Tap {
    fake: Fake,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    fn before(registry: &Registry) -> Tap {
        let sent = Arc::<Mutex<Vec<u8>>>::default();
        let (kept, address) = (sent.clone(), registry.url().replace("http://", ""));
        let fake = Fake::start(move |conversation| {
            let mut to = TcpStream::connect(&address).unwrap();
            let (mut from, mut back) = (to.try_clone().unwrap(), conversation.socket());
            let answers = std::thread::spawn(move || {
                let _ = io::copy(&mut from, &mut back);
                let _ = back.shutdown(Shutdown::Both);
            });
            while let Some(bytes) = conversation.read_some() {
                kept.lock().unwrap().extend_from_slice(&bytes);
                if io::Write::write_all(&mut to, &bytes).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
            let _ = answers.join();
        });
        Tap { fake, sent }
    }

    /// Asserts that no head and no small body that the registry was sent has an outer name.
    fn saw_no_outer_name(&self) {
        let sent = self.sent.lock().unwrap();
        let text = String::from_utf8_lossy(&sent);
        for outer in ["hub/", "hub%2F", "hub%2f"] {
            assert!(!text.contains(outer), "{text}");
        }
        assert!(text.contains(" /v2/"), "the registry was never asked");
    }
}

fn hub(url: &str) -> String {
    format!("[[route]]\nrepositories = [\"hub/**\"]\nstrip = \"hub/\"\nservers = [{url:?}]\n")
}

/// Puts a tiny image into a registry by itself.
fn fill(registry: &Registry, repository: &str, tag: &str) -> String {
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    push_tiny(&mut Client::connect(&tidegate), AUTH, repository, tag)
}

fn names(response: &Response) -> Vec<String> {
    let body: Value = serde_json::from_slice(&response.body).unwrap();
    body["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_pull_goes_through_a_mirror() {
    let origin = Registry::start();
    let digest = fill(&origin, "team/app", "one");
    let mirror = Registry::start_with(&format!("proxy:\n  remoteurl: {}\n", origin.url()));
    let tap = Tap::before(&mirror);
    let own = Registry::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&own.url()).tables(&hub(&tap.fake.url())));
    push_tiny(&mut Client::connect(&tidegate), AUTH, "team/own", "one");

    let pulled = ask(&tidegate, "GET /v2/hub/team/app/manifests/one");
    assert_eq!(pulled.status, 200, "{}", pulled.text());
    assert_eq!(pulled.all("docker-content-digest"), [digest]);
    let config = format!("sha256:{}", sha256(b"{}"));
    assert_eq!(ask(&tidegate, &format!("GET /v2/hub/team/app/blobs/{config}")).text(), "{}");
    let tags = ask(&tidegate, "GET /v2/hub/team/app/tags/list");
    let tags: Value = serde_json::from_str(&tags.text()).unwrap();
    assert_eq!(tags, serde_json::json!({"name": "hub/team/app", "tags": ["one"]}));
    // A mirror stores a blob after it has sent it.
    let begun = Instant::now();
    while names(&ask(&tidegate, "GET /v2/_catalog")) != ["hub/team/app", "team/own"] {
        assert!(begun.elapsed() < DEADLINE, "the mirror never lists what it has fetched");
    }
    for line in [
        "GET /v2/hub/team/app/manifests/none",
        "GET /v2/hub/team/none/tags/list",
        "POST /v2/hub/team/app/blobs/uploads/",
    ] {
        let refused = ask(&tidegate, line);
        assert!(refused.status >= 400, "{line}: {}", refused.status);
        shows_no_inner_name(&refused);
    }
    tap.saw_no_outer_name();
}

#[test]
fn a_push_goes_to_a_registry_that_has_other_names() {
    let there = Registry::start();
    let tap = Tap::before(&there);
    let own = Registry::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&own.url()).tables(&hub(&tap.fake.url())));
    let mut client = Client::connect(&tidegate);
    let digest = push_tiny(&mut client, AUTH, "hub/team/app", "one");
    for tag in ["two", "three"] {
        let (manifest, _) = tiny_manifest(b"{}", "one");
        let put = put_manifest(&mut client, AUTH, "hub/team/app", tag, &manifest);
        assert_eq!(put.all("location"), [format!("https://localhost/v2/hub/team/app/manifests/{digest}")]);
    }
    let tags: Value = serde_json::from_str(&ask(&tidegate, "GET /v2/hub/team/app/tags/list").text()).unwrap();
    assert_eq!(tags["name"], "hub/team/app");
    assert_eq!(tags["tags"].as_array().unwrap().len(), 3);

    // A mount within the route, and one across.
    upload(&mut client, AUTH, "hub/team/base", b"layer");
    upload(&mut client, AUTH, "team/own", b"other");
    let blob = format!("sha256:{}", sha256(b"layer"));
    let mount = |from: &str, blob: &str| {
        ask(&tidegate, &format!("POST /v2/hub/team/app/blobs/uploads/?mount={blob}&from={from}"))
    };
    let mounted = mount("hub/team/base", &blob);
    assert_eq!(mounted.status, 201, "{}", mounted.text());
    assert_eq!(
        mounted.all("location"),
        [format!("https://{}/v2/hub/team/app/blobs/{blob}", tidegate.host())]
    );
    let across = mount("team/own", &format!("sha256:{}", sha256(b"other")));
    assert_eq!(across.status, 202);
    assert_eq!(finish_upload(&mut client, AUTH, across.all("location")[0], b"other").status, 201);

    assert_eq!(names(&ask(&tidegate, "GET /v2/_catalog")), ["hub/team/app", "hub/team/base", "team/own"]);
    let gone = ask(&tidegate, &format!("DELETE /v2/hub/team/app/manifests/{digest}"));
    assert_eq!(gone.status, 202, "{}", gone.text());
    let unknown = ask(&tidegate, "GET /v2/hub/team/app/manifests/one");
    assert_eq!(unknown.error_code(), "MANIFEST_UNKNOWN");
    shows_no_inner_name(&unknown);
    tap.saw_no_outer_name();
}

/// Settings in token mode, and the lines with which a registry verifies these tokens.
fn with_tokens(settings: Settings) -> (Settings, String) {
    let key = settings.path().join("token.key").display().to_string();
    succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", &key]);
    let bundle = settings.path().join("token.crt").display().to_string();
    let lines = format!(
        "auth:\n  token:\n    realm: https://localhost/auth/token\n    service: registry.test\n    issuer: tidegate\n    \
         rootcertbundle: {bundle}\n"
    );
    let settings = settings
        .set("auth.mode", r#""token""#)
        .set("token.key", r#""token.key""#)
        .set("token.certificate", r#""token.crt""#)
        .set("token.service", r#""registry.test""#);
    (settings, lines)
}

#[test]
fn a_registry_with_other_names_that_verifies_tokens_gets_one_with_its_own_names() {
    let (settings, lines) = with_tokens(Settings::for_upstream("http://127.0.0.1:1"));
    let there = Registry::start_with(&lines);
    let tap = Tap::before(&there);
    let route = hub(&tap.fake.url()) + "authorization = \"pass\"\n";
    let tidegate = Tidegate::start(settings.tables(&route));
    let mut client = Client::connect(&tidegate);
    let scope = "scope=repository:hub/team/app:pull,push&scope=repository:hub/team/base:pull,push";
    let answer = client.exchange(&format!("GET /auth/token?service=registry.test&{scope}"), &[AUTH]);
    let token: Value = serde_json::from_str(&answer.text()).unwrap();
    let token = token["token"].as_str().unwrap();
    assert_eq!(signer::open(token).1["access"][0]["name"], "hub/team/app");
    let bearer = format!("Authorization: Bearer {token}");
    push_tiny(&mut client, &bearer, "hub/team/app", "one");
    upload(&mut client, &bearer, "hub/team/base", b"layer");
    let blob = format!("sha256:{}", sha256(b"layer"));
    let line = format!("POST /v2/hub/team/app/blobs/uploads/?mount={blob}&from=hub/team/base");
    let mounted = client.exchange(&line, &[&bearer, "Content-Length: 0"]);
    assert_eq!(mounted.status, 201, "{}", mounted.text());
    let other = client.exchange("GET /v2/hub/team/other/tags/list", &[&bearer]);
    assert_eq!(other.status, 401);
    let challenge = other.all("www-authenticate")[0];
    assert!(challenge.contains("scope=\"repository:hub/team/other:pull\""), "{challenge}");
    tap.saw_no_outer_name();
}

/// skopeo, podman and docker pull and push through routes.
fn try_clients(complete: impl Fn(Settings) -> Settings) {
    let origin = Registry::start();
    let folder = tempfile::TempDir::new().unwrap();
    let layout = folder.path().join("image");
    write_image(&layout, "one");
    let oci = format!("oci:{}:one", layout.display());
    let there = format!("docker://{}/team/app:one", origin.url().replace("http://", ""));
    succeed("skopeo", &["--insecure-policy", "copy", "--dest-tls-verify=false", &oci, &there]);
    // Their machine has another network, from which only sockets can be reached.
    let mirror = Registry::on_a_socket_with(&format!("proxy:\n  remoteurl: {}\n", origin.url()));
    let writable = Registry::on_a_socket();
    let write = format!(
        "[[route]]\nrepositories = [\"hub/w/**\"]\nstrip = \"hub/w/\"\nservers = [{:?}]\n",
        writable.url()
    );
    let tables = write + &hub(&mirror.url());
    let Some(setup) = Workstation::start(|settings| complete(settings.tables(&tables))) else { return };
    let logins = setup.text("logins.json");
    let good = |what: &str, run: crate::harness::tools::Run| {
        assert!(run.success, "{what}: {}{}", run.stdout, run.stderr);
    };
    let login = ["login", "--username", USER, "--password", PASSWORD, &setup.host];
    good("docker login", setup.engine.docker(&login));
    good("docker pull", setup.engine.docker(&["pull", &setup.image("hub/team/app:one")]));
    let image = setup.image("hub/w/docker/app:one");
    good("docker tag", setup.engine.docker(&["tag", &setup.image("hub/team/app:one"), &image]));
    good("docker push", setup.engine.docker(&["push", &image]));

    let auth = basic(USER, PASSWORD).replace("Basic ", "");
    let logins_file = serde_json::json!({"auths": {setup.host.clone(): {"auth": auth}}});
    std::fs::write(&logins, logins_file.to_string()).unwrap();
    good("podman pull", setup.podman_pull(&logins, "hub/team/app:one"));
    let back = format!("dir:{}", setup.text("back"));
    let copy = ["copy", "--authfile", &logins, &setup.docker_url("hub/team/app:one"), &back];
    good("skopeo pull", setup.skopeo(&copy));
    let copy = ["copy", "--authfile", &logins, &oci, &setup.docker_url("hub/w/skopeo/app:one")];
    good("skopeo push", setup.skopeo(&copy));
    let tags = ["list-tags", "--authfile", &logins, &setup.docker_url("hub/w/skopeo/app")];
    let tags = setup.skopeo(&tags);
    assert!(tags.stdout.contains("hub/w/skopeo/app") && tags.stdout.contains("\"one\""), "{}", tags.stdout);
}

#[test]
fn clients_use_a_mirror_and_a_registry_with_other_names_with_passwords() {
    try_clients(|settings| settings);
}

#[test]
fn clients_use_a_mirror_and_a_registry_with_other_names_with_tokens() {
    try_clients(|settings| {
        let key = settings.path().join("token.key").display().to_string();
        succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", &key]);
        settings.set("auth.mode", r#""token""#).set("token.key", r#""token.key""#)
    });
}
