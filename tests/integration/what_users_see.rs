//! What docker, podman and skopeo show to their users when tidegate refuses a request.

use std::fs;

use serde_json::{Value, json};

use crate::harness::tools::Run;
use crate::harness::workstation::Workstation;
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

fn start() -> Option<Workstation> {
    Workstation::start(|settings| {
        settings.write_users(&[("alice", PASSWORD)]);
        // No throttle: every wrong password gets the same answer.
        settings.tables(RULES).set("auth.throttle.failures", "1000")
    })
}

/// The file with the login, which all three clients read.
fn login(setup: &Workstation) -> String {
    setup.text("login/config.json")
}

/// Stores a login without asking the registry.
fn store(setup: &Workstation, password: &str) {
    fs::create_dir_all(setup.text("login")).unwrap();
    let proof = basic("alice", password);
    let auth = proof.strip_prefix("Basic ").unwrap();
    let logins = json!({"auths": {&setup.host: {"auth": auth}}});
    fs::write(login(setup), logins.to_string()).unwrap();
}

fn docker(setup: &Workstation, arguments: &[&str]) -> Run {
    setup.engine.docker(&[&["--config", &setup.text("login")], arguments].concat())
}

fn skopeo_inspect(setup: &Workstation, image: &str) -> Run {
    setup.skopeo(&["inspect", "--authfile", &login(setup), &setup.docker_url(image)])
}

/// How many requests since line `start` of the access log were refused a wrong password.
fn wrong_passwords(setup: &Workstation, start: usize) -> usize {
    // The line of this request comes after those of all requests before it.
    setup.curl(&[&format!("https://{}/v2/marker/tags/list", setup.host)]);
    let access = &setup.tidegate.access;
    access.wait_after(start, "the marker", |line| line.contains("marker"));
    let lines = access.so_far();
    let lines = lines[start..].iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["status"] == 401 && line["claimed"] == "alice").count()
}

/// Builds an image of [`LAYERS`] small layers.
fn build(setup: &Workstation, image: &str) {
    let folder = setup.engine.path().join("build");
    fs::create_dir(&folder).unwrap();
    let mut steps = "FROM scratch\n".to_owned();
    for layer in 0..LAYERS {
        fs::write(folder.join(format!("file{layer}")), format!("layer {layer}")).unwrap();
        steps.push_str(&format!("COPY file{layer} /\n"));
    }
    fs::write(folder.join("Dockerfile"), steps).unwrap();
    let run = docker(setup, &["build", "--quiet", "--tag", image, folder.to_str().unwrap()]);
    assert!(run.success, "{}", run.stderr);
}

/// More requests than a client needs to learn that its password is wrong. docker would make three
/// times as many if it tried each layer again.
const FEW: usize = 15;

#[test]
fn a_wrong_stored_password_is_tried_a_few_times_and_the_user_is_told() {
    let Some(setup) = start() else { return };
    store(&setup, "not her password");
    let (image, login) = (setup.image("team/app:one"), login(&setup));
    build(&setup, &image);
    let told = format!("wrong user or password for alice; log in: docker login {}", setup.host);
    // The first request of these two pushes is HEAD, and only newer versions show its reason.
    let untold = "unauthorized";
    let tries: [(&str, &str, &dyn Fn() -> Run); 6] = [
        ("docker push", &told, &|| docker(&setup, &["push", &image])),
        ("docker pull", &told, &|| docker(&setup, &["pull", &image])),
        ("podman pull", &told, &|| setup.podman_pull(&login, "team/app:one")),
        ("skopeo inspect", &told, &|| skopeo_inspect(&setup, "team/app:one")),
        ("podman push", untold, &|| setup.podman_push(&login, "team/app:one")),
        ("skopeo copy", untold, &|| setup.skopeo_push(&login, "team/app:one")),
    ];
    for (what, sentence, client) in tries {
        let start = setup.tidegate.access.len();
        let run = client();
        let said = format!("{}{}", run.stdout, run.stderr);
        let requests = wrong_passwords(&setup, start);
        eprintln!("{what}, {requests} requests: {said}");
        assert!(!run.success, "{what}: {said}");
        assert!(said.contains(sentence), "{what}: {said}");
        assert!(!said.contains("Retrying"), "{what}: {said}");
        assert!((1..=FEW).contains(&requests), "{what}: {requests} requests");
    }
}

#[test]
fn podman_and_skopeo_show_why_they_are_refused_and_a_refused_head_says_it_in_a_field() {
    let Some(setup) = start() else { return };
    store(&setup, PASSWORD);
    let (image, login) = ("private/app:one", login(&setup));
    let (url, back) = (setup.docker_url(image), format!("dir:{}", setup.text("back")));
    let reason = "alice has no rights in private/app";
    let refusals = [
        ("podman pull", setup.podman_pull(&login, image)),
        ("skopeo inspect", skopeo_inspect(&setup, image)),
        ("skopeo copy", setup.skopeo(&["copy", "--authfile", &login, &url, &back])),
    ];
    for (what, run) in refusals {
        let said = format!("{}{}", run.stdout, run.stderr);
        eprintln!("{what}: {said}");
        assert!(!run.success, "{what}: {said}");
        assert!(said.contains(reason), "{what}: {said}");
    }

    // These push with HEAD first, whose answer has no body. Their newer versions, 1.22 and 5.8,
    // print the field.
    let pushes = [
        ("podman push", setup.podman_push(&login, image)),
        ("skopeo copy", setup.skopeo_push(&login, image)),
    ];
    for (what, run) in pushes {
        assert!(!run.success && run.stderr.contains("403 (Forbidden)"), "{what}: {}", run.stderr);
    }
    let user = format!("alice:{PASSWORD}");
    let url = format!("https://{}/v2/private/app/manifests/one", setup.host);
    let answer = setup.curl(&["--head", "--user", &user, &url]).stdout;
    assert!(answer.contains(&format!("299 - \"{reason}; ask the administrator of")), "{answer}");
}
