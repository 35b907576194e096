//! The image: what is in it, and that it runs without rights.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::child;
use crate::harness::engine::{ADDRESS, Engine};
use crate::harness::lines::Lines;
use crate::harness::tools::run;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");

/// What `docker run` is told, as in deploy/compose, except for the network, which the engine of the
/// tests lacks.
const WITHOUT_RIGHTS: [&str; 9] = [
    "run",
    "--network=host",
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--volume=settings:/etc/tidegate",
    "--name=door",
    "--health-interval=200ms",
    "--label=test",
];

fn docker(engine: &Engine, arguments: &[&str]) -> String {
    let run = engine.docker(arguments);
    assert!(run.success, "docker {arguments:?}: {}{}", run.stdout, run.stderr);
    run.stdout
}

#[test]
fn the_image_of_a_built_program_makes_its_settings_and_serves() {
    let Some(engine) = Engine::start() else { return };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/image/build.sh");
    let host = format!("DOCKER_HOST={}", engine.host());
    let built = run("env", &[&host, script.to_str().unwrap(), PROGRAM]);
    assert!(built.success, "{}{}", built.stdout, built.stderr);

    let facts = "{{.Config.User}} {{.Config.StopSignal}} {{.Config.Healthcheck.Test}} {{.Config.Env}}";
    assert_eq!(
        docker(&engine, &["image", "inspect", "--format", facts, "tidegate"]).trim(),
        "65532:65532 SIGTERM [CMD tidegate health] [PATH=/usr/bin TIDEGATE_CONFIG=/etc/tidegate/proxy.toml]"
    );
    // Only these layers have files: the root, and the folder for settings.
    let history = docker(&engine, &["history", "--no-trunc", "--format", "{{.CreatedBy}}", "tidegate"]);
    assert_eq!(history.matches("COPY").count(), 2, "{history}");
    assert!(!history.contains("RUN"), "{history}");

    let listen = format!("--listen={ADDRESS}:8443");
    let init = [&WITHOUT_RIGHTS[..], &["--rm", "tidegate", "init", "--yes", &listen]].concat();
    let made = docker(&engine, &init);
    assert!(made.contains("wrote proxy.toml\n"), "{made}");
    let again = docker(&engine, &[&init[..], &["--if-missing"]].concat());
    assert_eq!(again, "proxy.toml is there already: nothing to do\n");

    let mut command = Command::new("docker");
    command.args(["--host", &engine.host(), "events", "--filter", "event=health_status"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let mut watching = child::spawn(command).unwrap();
    let events = Lines::follow(watching.stdout.take().unwrap());
    docker(&engine, &[&WITHOUT_RIGHTS[..], &["--detach", "tidegate"]].concat());
    events.wait_for("health", |line| line.contains("health_status: healthy"));
    let answer = engine.run(
        "curl",
        &["--silent", "--insecure", "--write-out", "%{http_code}", &format!("https://{ADDRESS}:8443/v2/")],
    );
    assert!(answer.stdout.ends_with("401"), "{}", answer.stdout);
    docker(&engine, &["stop", "door"]);
    assert_eq!(docker(&engine, &["wait", "door"]).trim(), "0");
    watching.kill().unwrap();
    watching.wait().unwrap();
}
