//! Token mode with real clients: anonymous pull, login, push, and refusals.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::tools::{Run, succeed};
use crate::harness::workstation::Workstation;

/// All clients can pull what is public. Alice can push that and what belongs to the team, and each
/// user has repositories of their own.
const RULES: &str = r#"
[groups]
team = ["alice"]

[[access]]
users = ["anonymous"]
repositories = ["public/**"]
actions = ["pull"]

[[access]]
users = ["@team"]
repositories = ["public/**", "team/**"]
actions = ["pull", "push"]

[[access]]
users = ["*"]
repositories = ["${user}/**"]
actions = ["pull", "push"]
"#;

const ALICE: (&str, &str) = ("alice", "wonderland");
const BOB: (&str, &str) = ("bob", "builder");

fn start() -> Option<Workstation> {
    Workstation::start(|settings| {
        settings.write_users(&[ALICE, BOB]);
        let key = settings.path().join("token.key").display().to_string();
        succeed(env!("CARGO_BIN_EXE_tidegate"), &["token", &key]);
        settings.tables(RULES).set("auth.mode", r#""token""#).set("token.key", r#""token.key""#)
    })
}

/// The JSON at an address, requested with curl.
fn json(setup: &Workstation, arguments: &[&str]) -> Value {
    let run = setup.curl(arguments);
    serde_json::from_str(&run.stdout).unwrap_or_else(|error| panic!("{error}: {} {}", run.stdout, run.stderr))
}

/// The user who is logged in at a client; `None` for anonymous.
type Who = Option<(&'static str, &'static str)>;

/// One kind of client.
trait Client {
    fn name(&self) -> &'static str;
    fn login(&self, setup: &Workstation, user: (&str, &str)) -> Run;
    /// Builds an image and pushes it.
    fn push(&self, setup: &Workstation, who: Who, repository: &str) -> Run;
    /// Pulls an image, even if the client has it already.
    fn pull(&self, setup: &Workstation, who: Who, repository: &str) -> Run;
}

fn label(who: Who) -> &'static str {
    who.map_or("nobody", |(name, _)| name)
}

/// Runs the whole sequence with separate repositories for each client.
fn try_everything(setup: &Workstation, client: &dyn Client) {
    let name = client.name();
    let (public, private) = (format!("public/{name}:one"), format!("team/{name}:one"));
    let good = |what: &str, run: Run| assert!(run.success, "{name}, {what}: {}{}", run.stdout, run.stderr);
    let refused = |what: &str, run: Run, sentences: &[&str]| {
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(!run.success, "{name}, {what}: {said}");
        assert!(sentences.iter().any(|sentence| said.contains(sentence)), "{name}, {what}: {said}");
        eprintln!("{name}, {what}: {said}");
    };

    refused(
        "wrong password",
        client.login(setup, ("alice", "wrong")),
        &["unauthorized", "401", "invalid username/password"],
    );
    good("login", client.login(setup, ALICE));
    good("login", client.login(setup, BOB));
    good("push", client.push(setup, Some(ALICE), &public));
    good("push", client.push(setup, Some(ALICE), &private));
    good("anonymous pull", client.pull(setup, None, &public));
    good("pull of a public image", client.pull(setup, Some(BOB), &public));
    good("pull", client.pull(setup, Some(ALICE), &private));
    let denied = ["denied", "insufficient_scope"];
    // containerd skips a push of content that already exists, and reports success.
    let another = format!("public/{name}/another:one");
    refused("anonymous push", client.push(setup, None, &another), &denied);
    refused("push", client.push(setup, Some(BOB), &another), &denied);
    refused("anonymous pull of the team's", client.pull(setup, None, &private), &denied);
    refused("pull of the team's", client.pull(setup, Some(BOB), &private), &denied);
}

struct Docker;

impl Docker {
    fn run(setup: &Workstation, who: Who, arguments: &[&str]) -> Run {
        let config = setup.text(&format!("docker-{}", label(who)));
        setup.engine.docker(&[&["--config", &config], arguments].concat())
    }
}

impl Client for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn login(&self, setup: &Workstation, (user, password): (&str, &str)) -> Run {
        let config = setup.text(&format!("docker-{user}"));
        let words = ["--config", &config, "login", "--username", user, "--password", password, &setup.host];
        setup.engine.docker(&words)
    }

    fn push(&self, setup: &Workstation, who: Who, repository: &str) -> Run {
        setup.docker_import(repository);
        Docker::run(setup, who, &["push", &setup.image(repository)])
    }

    fn pull(&self, setup: &Workstation, who: Who, repository: &str) -> Run {
        let image = setup.image(repository);
        setup.engine.docker(&["rmi", "--force", &image]);
        Docker::run(setup, who, &["pull", &image])
    }
}

/// The engine's own containerd.
struct Containerd;

impl Containerd {
    fn run(setup: &Workstation, arguments: &[&str]) -> Run {
        let socket = setup.text("exec/containerd/containerd.sock");
        setup.engine.run("ctr", &[&["--address", &socket, "images"], arguments].concat())
    }

    fn credentials(who: Who) -> Vec<String> {
        who.map_or_else(Vec::new, |(user, password)| vec!["--user".to_owned(), format!("{user}:{password}")])
    }

    fn with(setup: &Workstation, credentials: &[String], command: &str, image: &str) -> Run {
        let trust = Path::new("/etc/docker/certs.d").display().to_string();
        let mut words = vec![command, "--hosts-dir", &trust];
        if command == "pull" {
            words.extend(["--snapshotter", "native"]);
        }
        words.extend(credentials.iter().map(String::as_str));
        words.push(image);
        Containerd::run(setup, &words)
    }
}

impl Client for Containerd {
    fn name(&self) -> &'static str {
        "ctr"
    }

    /// containerd has no login: each command has its credentials. A request with them replaces it.
    fn login(&self, setup: &Workstation, (user, password): (&str, &str)) -> Run {
        let url = format!("https://{}/v2/", setup.host);
        let pair = format!("{user}:{password}");
        setup.curl(&["--fail", "--show-error", "--user", &pair, &url])
    }

    fn push(&self, setup: &Workstation, who: Who, repository: &str) -> Run {
        let (tar, image) = (setup.text("image.oci.tar"), setup.image(repository));
        succeed(
            "tar",
            &[
                "--create",
                "--file",
                &tar,
                "--directory",
                &setup.text("image"),
                "blobs",
                "index.json",
                "oci-layout",
            ],
        );
        let name = image.rsplit_once(':').unwrap().0;
        let made = Containerd::run(setup, &["import", "--no-unpack", "--base-name", name, &tar]);
        let made =
            if made.success { made } else { Containerd::run(setup, &["import", "--base-name", name, &tar]) };
        assert!(made.success, "{}", made.stderr);
        Containerd::with(setup, &Containerd::credentials(who), "push", &image)
    }

    fn pull(&self, setup: &Workstation, who: Who, repository: &str) -> Run {
        let image = setup.image(repository);
        Containerd::run(setup, &["rm", "--sync", &image]);
        Containerd::with(setup, &Containerd::credentials(who), "pull", &image)
    }
}

struct Podman;

impl Client for Podman {
    fn name(&self) -> &'static str {
        "podman"
    }

    fn login(&self, setup: &Workstation, (user, password): (&str, &str)) -> Run {
        let file = auth_file(setup, "podman", user);
        setup.podman(&["login", "--authfile", &file, "--username", user, "--password", password, &setup.host])
    }

    fn push(&self, setup: &Workstation, who: Who, repository: &str) -> Run {
        setup.podman_push(&auth_file(setup, "podman", label(who)), repository)
    }

    fn pull(&self, setup: &Workstation, who: Who, repository: &str) -> Run {
        setup.podman(&["rmi", "--force", "--all"]);
        setup.podman_pull(&auth_file(setup, "podman", label(who)), repository)
    }
}

struct Skopeo;

impl Client for Skopeo {
    fn name(&self) -> &'static str {
        "skopeo"
    }

    fn login(&self, setup: &Workstation, (user, password): (&str, &str)) -> Run {
        let file = auth_file(setup, "skopeo", user);
        setup.engine.run(
            "skopeo",
            &["login", "--authfile", &file, "--username", user, "--password", password, &setup.host],
        )
    }

    fn push(&self, setup: &Workstation, who: Who, repository: &str) -> Run {
        setup.skopeo_push(&auth_file(setup, "skopeo", label(who)), repository)
    }

    fn pull(&self, setup: &Workstation, who: Who, repository: &str) -> Run {
        let (from, back) = (setup.docker_url(repository), setup.text("back"));
        let _ = fs::remove_dir_all(&back);
        let file = auth_file(setup, "skopeo", label(who));
        setup.skopeo(&["copy", "--authfile", &file, &from, &format!("dir:{back}")])
    }
}

/// Where a client stores a user's login.
fn auth_file(setup: &Workstation, client: &str, user: &str) -> String {
    let file = setup.engine.path().join(format!("{client}-{user}.json"));
    if !file.exists() {
        fs::write(&file, "{}").unwrap();
    }
    file.display().to_string()
}

#[test]
fn docker_containerd_podman_and_skopeo_do_what_their_users_may() {
    let Some(setup) = start() else { return };
    let clients: [&dyn Client; 4] = [&Docker, &Containerd, &Podman, &Skopeo];
    for client in clients {
        try_everything(&setup, client);
    }
}

#[test]
fn docker_stores_an_identity_token_that_survives_a_restart_and_not_the_password() {
    let Some(mut setup) = start() else { return };
    assert!(Docker.login(&setup, ALICE).success);
    let config = fs::read_to_string(setup.engine.path().join("docker-alice/config.json")).unwrap();
    let config: Value = serde_json::from_str(&config).unwrap();
    let stored = &config["auths"][&setup.host];
    assert!(stored["identitytoken"].as_str().is_some_and(|token| !token.is_empty()), "{config}");
    assert!(!config.to_string().contains("d29uZGVybGFuZA"), "the password is stored: {config}");

    setup.tidegate.restart();
    let run = Docker.push(&setup, Some(ALICE), "team/docker:one");
    assert!(run.success, "{}", run.stderr);
    let run = Docker.pull(&setup, Some(ALICE), "team/docker:one");
    assert!(run.success, "{}", run.stderr);

    setup.tidegate.settings.write_users(&[("alice", "changed"), BOB]);
    let run = Docker.pull(&setup, Some(ALICE), "team/docker:one");
    assert!(!run.success && run.stderr.contains("log in: docker login"), "{}{}", run.stdout, run.stderr);
}

#[test]
fn docker_mounts_where_allowed_and_uploads_elsewhere() {
    let Some(setup) = start() else { return };
    assert!(Docker.login(&setup, ALICE).success && Docker.login(&setup, BOB).success);
    // The engine remembers for all users where it has pushed a layer.
    let pushes = [(ALICE, "team/app"), (ALICE, "alice/app"), (BOB, "bob/app")];
    for (user, repository) in pushes {
        let run = Docker.push(&setup, Some(user), &format!("{repository}:one"));
        assert!(run.success, "{repository}: {}", run.stderr);
        let last = |line: &str| line.contains("manifest-put") && line.contains(repository);
        setup.tidegate.access.wait_for("the end of the push", last);
    }
    let begun = |repository: &str| {
        let of_it = |line: &Value| line["operation"] == "upload-start" && line["repository"] == repository;
        let lines = setup.tidegate.access.so_far();
        let lines = lines.iter().map(|line| serde_json::from_str(line).unwrap()).filter(of_it);
        lines.map(|line: Value| line["status"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let [first, again, of_another] = pushes.map(|(_, repository)| begun(repository));
    assert!(first.iter().chain(&of_another).all(|status| *status == 202), "{first:?} {of_another:?}");
    assert!(again.contains(&201), "the layer was mounted: {again:?}");
}

#[test]
fn containerd_uses_an_identity_token() {
    let Some(setup) = start() else { return };
    let url = format!("https://{}/auth/token?offline_token=true&scope=", setup.host);
    let answer = json(&setup, &["--user", "alice:wonderland", &url]);
    let token = answer["refresh_token"].as_str().unwrap().to_owned();
    assert!(Containerd.push(&setup, Some(ALICE), "team/app:one").success);
    let image = setup.image("team/app:one");
    let run = Containerd::with(&setup, &["--refresh".to_owned(), token], "pull", &image);
    assert!(run.success, "{}", run.stderr);
}

#[test]
fn curl_uses_a_token_or_a_password() {
    let Some(setup) = start() else { return };
    let v2 = format!("https://{}/v2/", setup.host);
    let status = |arguments: &[&str]| {
        let form = "%{http_code} %header{www-authenticate}";
        setup.curl(&[&["--output", "/dev/null", "--write-out", form], arguments].concat()).stdout
    };
    assert!(Skopeo.login(&setup, ALICE).success);
    for repository in ["public/app:one", "team/app:one"] {
        assert!(Skopeo.push(&setup, Some(ALICE), repository).success);
    }
    let asked = format!(r#"401 Bearer realm="https://{}/auth/token",service="{}""#, setup.host, setup.host);
    assert_eq!(status(&[&v2]), asked);
    let manifest = |repository: &str| format!("{v2}{repository}/manifests/one");
    let accept = "Accept: application/vnd.oci.image.manifest.v1+json";
    let pull = |repository: &str, user: &[&str]| {
        let scope = format!("scope=repository:{repository}:pull");
        let url = format!("https://{}/auth/token?service={}&{scope}", setup.host, setup.host);
        let answer = json(&setup, &[user, &[&url]].concat());
        let bearer = format!("Authorization: Bearer {}", answer["token"].as_str().unwrap());
        status(&["--header", &bearer, "--header", accept, &manifest(repository)])
    };
    assert_eq!(pull("public/app", &[]), "200 ");
    assert_eq!(pull("team/app", &["--user", "alice:wonderland"]), "200 ");
    for user in [&[][..], &["--user", "bob:builder"]] {
        let refused = pull("team/app", user);
        assert!(refused.starts_with(&asked), "{refused}");
        assert!(refused.contains(r#"scope="repository:team/app:pull""#), "{refused}");
        assert!(refused.contains(r#"error="insufficient_scope""#), "{refused}");
    }
    // And without a token.
    let shown = |user: &str| status(&["--user", user, "--header", accept, &manifest("team/app")]);
    assert_eq!(shown("alice:wonderland"), "200 ");
    assert_eq!(shown("bob:builder"), "403 ");
}
