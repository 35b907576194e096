//! What docker, podman and skopeo show to their users when tidegate refuses a request.

use std::fs;

use serde_json::{Value, json};

use crate::harness::engine::Engine;
use crate::harness::image::write_image;
use crate::harness::registry::Registry;
use crate::harness::tidegate::Tidegate;
use crate::harness::tools::Run;
use crate::harness::{PASSWORD, basic};

/// Alice can push to some repositories, pull from others, and has no rights in the rest.
const RULES: &str = r#"
[[access]]
users = ["alice"]
repositories = ["team/**"]
actions = ["pull", "push"]

[[access]]
users = ["alice"]
repositories = ["public/**"]
actions = ["pull"]
"#;

/// Layers of the image that docker pushes.
const LAYERS: usize = 8;

struct Setup {
    engine: Engine,
    _registry: Registry,
    tidegate: Tidegate,
    host: String,
}

impl Setup {
    fn start() -> Option<Setup> {
        let engine = Engine::start()?;
        let registry = Registry::on_a_socket();
        // No throttle: every wrong password gets the same answer.
        let settings = engine.settings(&registry.url()).tables(RULES).set("auth.throttle.failures", "1000");
        settings.write_users(&[("alice", PASSWORD)]);
        let tidegate = Tidegate::start(settings);
        let host = tidegate.address.to_string();
        let trust = engine.certificates(&host).join("ca.crt");
        fs::copy(tidegate.settings.path().join("ca.crt"), trust).unwrap();
        write_image(&engine.path().join("image"), "one");
        Some(Setup { engine, _registry: registry, tidegate, host })
    }

    fn text(&self, name: &str) -> String {
        self.engine.path().join(name).display().to_string()
    }

    /// Stores a login without asking the registry, in a file that all three clients read.
    fn store(&self, password: &str) {
        let folder = self.engine.path().join("login");
        fs::create_dir_all(&folder).unwrap();
        let proof = basic("alice", password);
        let auth = proof.strip_prefix("Basic ").unwrap();
        fs::write(folder.join("config.json"), json!({"auths": {&self.host: {"auth": auth}}}).to_string())
            .unwrap();
    }

    fn docker(&self, arguments: &[&str]) -> Run {
        self.engine.docker(&[&["--config", &self.text("login")], arguments].concat())
    }

    fn podman(&self, arguments: &[&str]) -> Run {
        let (storage, state) = (self.text("storage"), self.text("state"));
        let own =
            ["--root", &storage, "--runroot", &state, "--storage-driver", "vfs", "--events-backend", "none"];
        let folder = self.engine.path().display().to_string();
        self.engine.run("env", &[&["--chdir", &folder, "podman"], &own[..], arguments].concat())
    }

    /// Pushes the image of one layer with podman.
    fn podman_push(&self, repository: &str) -> Run {
        let made = self.podman(&["pull", "--quiet", "oci:image:one"]);
        assert!(made.success, "{}", made.stderr);
        let (login, there) = (self.text("login/config.json"), self.image(repository));
        self.podman(&["push", "--authfile", &login, made.stdout.trim(), &there])
    }

    fn podman_pull(&self, repository: &str) -> Run {
        self.podman(&["pull", "--authfile", &self.text("login/config.json"), &self.image(repository)])
    }

    /// Pushes the image of one layer with skopeo.
    fn skopeo_push(&self, repository: &str) -> Run {
        let from = format!("oci:{}:one", self.text("image"));
        self.skopeo(&["copy", &from, &self.image(repository)])
    }

    fn skopeo(&self, arguments: &[&str]) -> Run {
        let own = ["--insecure-policy", arguments[0], "--authfile", &self.text("login/config.json")];
        self.engine.run("skopeo", &[&own[..], &arguments[1..]].concat())
    }

    fn image(&self, repository: &str) -> String {
        format!("docker://{}/{repository}:one", self.host)
    }

    /// Asks without a login.
    fn curl(&self, arguments: &[&str], path: &str) -> String {
        let ca = self.tidegate.settings.path().join("ca.crt").display().to_string();
        let url = format!("https://{}/v2/{path}", self.host);
        let run = self.engine.run("curl", &[&["--silent", "--cacert", &ca], arguments, &[&url]].concat());
        assert!(run.success, "{}", run.stderr);
        run.stdout
    }

    /// How many requests since line `start` of the access log were refused a wrong password.
    fn wrong_passwords(&self, start: usize) -> usize {
        // The line of this request comes after those of all requests before it.
        self.curl(&[], "marker/tags/list");
        self.tidegate.access.wait_after(start, "the marker", |line| line.contains("marker"));
        let lines = self.tidegate.access.so_far();
        let lines = lines[start..].iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["status"] == 401 && line["claimed"] == "alice").count()
    }
}

/// Builds an image of [`LAYERS`] small layers.
fn build(setup: &Setup, image: &str) {
    let folder = setup.engine.path().join("build");
    fs::create_dir(&folder).unwrap();
    let mut steps = "FROM scratch\n".to_owned();
    for layer in 0..LAYERS {
        fs::write(folder.join(format!("file{layer}")), format!("layer {layer}")).unwrap();
        steps.push_str(&format!("COPY file{layer} /\n"));
    }
    fs::write(folder.join("Dockerfile"), steps).unwrap();
    let run = setup.docker(&["build", "--quiet", "--tag", image, folder.to_str().unwrap()]);
    assert!(run.success, "{}", run.stderr);
}

/// More requests than a client needs to learn that its password is wrong. docker would make three
/// times as many if it tried each layer again.
const FEW: usize = 15;

#[test]
fn a_wrong_stored_password_is_tried_a_few_times_and_the_user_is_told() {
    let Some(setup) = Setup::start() else { return };
    setup.store("not her password");
    let image = format!("{}/team/app:one", setup.host);
    build(&setup, &image);
    let told = format!("wrong user or password for alice; log in: docker login {}", setup.host);
    // The first request of these two pushes is HEAD, and only newer versions show its reason.
    let untold = "unauthorized";
    let tries: [(&str, &str, &dyn Fn() -> Run); 6] = [
        ("docker push", &told, &|| setup.docker(&["push", &image])),
        ("docker pull", &told, &|| setup.docker(&["pull", &image])),
        ("podman pull", &told, &|| setup.podman_pull("team/app")),
        ("skopeo inspect", &told, &|| setup.skopeo(&["inspect", &setup.image("team/app")])),
        ("podman push", untold, &|| setup.podman_push("team/app")),
        ("skopeo copy", untold, &|| setup.skopeo_push("team/app")),
    ];
    for (what, sentence, client) in tries {
        let start = setup.tidegate.access.len();
        let run = client();
        let said = format!("{}{}", run.stdout, run.stderr);
        let requests = setup.wrong_passwords(start);
        eprintln!("{what}, {requests} requests: {said}");
        assert!(!run.success, "{what}: {said}");
        assert!(said.contains(sentence), "{what}: {said}");
        assert!(!said.contains("Retrying"), "{what}: {said}");
        assert!((1..=FEW).contains(&requests), "{what}: {requests} requests");
    }
}

#[test]
fn podman_and_skopeo_show_why_they_are_refused_and_a_refused_head_says_it_in_a_field() {
    let Some(setup) = Setup::start() else { return };
    setup.store(PASSWORD);
    let image = setup.image("private/app");
    let back = format!("dir:{}", setup.text("back"));
    let reason = "alice has no rights in private/app";
    let refusals = [
        ("podman pull", setup.podman_pull("private/app")),
        ("skopeo inspect", setup.skopeo(&["inspect", &image])),
        ("skopeo copy", setup.skopeo(&["copy", &image, &back])),
    ];
    for (what, run) in refusals {
        let said = format!("{}{}", run.stdout, run.stderr);
        eprintln!("{what}: {said}");
        assert!(!run.success, "{what}: {said}");
        assert!(said.contains(reason), "{what}: {said}");
    }

    // These push with HEAD first, whose answer has no body. Their newer versions, 1.22 and 5.8,
    // print the field.
    for (what, run) in
        [("podman push", setup.podman_push("private/app")), ("skopeo copy", setup.skopeo_push("private/app"))]
    {
        assert!(!run.success && run.stderr.contains("403 (Forbidden)"), "{what}: {}", run.stderr);
    }
    let user = format!("alice:{PASSWORD}");
    let answer = setup.curl(&["--head", "--user", &user], "private/app/manifests/one");
    assert!(answer.contains(&format!("299 - \"{reason}; ask the administrator of")), "{answer}");
}
