//! `tidegate init`: from an empty folder to a registry that people can log in to.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::child;
use crate::harness::engine::Engine;
use crate::harness::image::write_image;
use crate::harness::lines::Lines;
use crate::harness::registry::Registry;
use crate::harness::tools::{self, Run, succeed};

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate");

/// Everything that the command makes by itself.
const FILES: [(&str, u32); 6] = [
    ("auth/htpasswd", 0o640),
    ("ca/ca.crt", 0o644),
    ("ca/ca.key", 0o600),
    ("certs/domain.crt", 0o644),
    ("certs/domain.key", 0o600),
    ("proxy.toml", 0o644),
];

/// Runs the command for a folder, with `input` as its standard input. No registry answers.
fn init(folder: &Path, options: &[&str], input: &str) -> Run {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), input).unwrap();
    let folder = folder.to_str().unwrap();
    let arguments = [&["init", "--registry", "http://127.0.0.1:1", folder], options].concat();
    tools::run_reading(PROGRAM, &arguments, Stdio::from(File::open(file.path()).unwrap()))
}

fn check(folder: &Path) -> Run {
    tools::run(PROGRAM, &["check", "--config", folder.join("proxy.toml").to_str().unwrap()])
}

/// The files below a folder, sorted.
fn files(folder: &Path) -> Vec<String> {
    let found = succeed("find", &[folder.to_str().unwrap(), "-type", "f", "-printf", "%P\n"]);
    let mut found: Vec<_> = found.lines().map(str::to_owned).collect();
    found.sort();
    found
}

fn password_of(report: &str) -> String {
    let line = report.lines().find_map(|line| line.strip_prefix("password  ")).unwrap();
    line.split(' ').next().unwrap().to_owned()
}

/// What the issue of a certificate, a password and a login comes down to for a new user.
#[test]
fn with_enter_alone_docker_can_log_in_push_and_pull() {
    let Some(engine) = Engine::start() else { return };
    let (home, storage) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let _registry = Registry::elsewhere(&engine.runner(), "127.0.0.1:5000", storage.path());
    let script = r#"cd "$1"; yes '' | "$0" init"#;
    let folder = home.path().to_str().unwrap();
    let run = engine.run("bash", &["-c", script, PROGRAM, folder]);
    assert!(run.success, "{}{}", run.stdout, run.stderr);
    assert!(!run.stdout.contains("note:"), "{}", run.stdout);
    assert!(
        run.stdout.contains("\nNext:\n  tidegate serve\n  docker login -u admin localhost\n"),
        "{}",
        run.stdout
    );

    let mut command = Command::new("env");
    command.args(engine.runner()).args(["env", "-C", folder, PROGRAM, "serve"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut serving = child::spawn(command).unwrap();
    let log = Lines::follow(serving.stderr.take().unwrap());
    log.wait_for("tidegate", |line| line.contains("listening") && line.contains("0.0.0.0:443"));
    let config = home.path().join("docker").display().to_string();
    let docker = |arguments: &[&str]| {
        let run = engine.docker(&[&["--config", &config], arguments].concat());
        assert!(run.success, "docker {arguments:?}: {}", run.stderr);
    };
    docker(&["login", "--username", "admin", "--password", &password_of(&run.stdout), "localhost"]);
    write_image(&home.path().join("image"), "one");
    let (tar, root) = (home.path().join("image.tar"), home.path().join("image/rootfs"));
    let tar = tar.to_str().unwrap();
    succeed("tar", &["--create", "--file", tar, "--directory", root.to_str().unwrap(), "noise"]);
    docker(&["import", tar, "localhost/team/app:one"]);
    docker(&["push", "localhost/team/app:one"]);
    docker(&["rmi", "localhost/team/app:one"]);
    docker(&["pull", "localhost/team/app:one"]);
    let health = engine.run("env", &["-C", folder, PROGRAM, "health", "--ready"]);
    assert!(health.success, "{}", health.stderr);
    // `env` has become the program, so this is its process.
    let process = rustix::process::Pid::from_child(&serving);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    assert!(serving.wait().unwrap().success());
}

#[test]
fn the_files_have_their_modes_and_the_password_is_only_printed() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("new folder");
    let run = init(&there, &[], "");
    assert!(run.success, "{}", run.stderr);
    assert_eq!(files(&there), FILES.map(|(name, _)| name));
    let password = password_of(&run.stdout);
    assert_eq!(password.len(), 24);
    for (name, mode) in FILES {
        assert_eq!(there.join(name).metadata().unwrap().permissions().mode() & 0o777, mode, "{name}");
        assert!(!fs::read_to_string(there.join(name)).unwrap().contains(&password), "{name}");
    }
    assert!(run.stdout.contains("note: registry http://127.0.0.1:1: cannot connect: "), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("tidegate serve --config '{}/proxy.toml'", there.display())));
    let checked = check(&there);
    assert!(checked.success && checked.stderr.is_empty(), "{}", checked.stderr);
}

#[test]
fn answers_are_taken_from_standard_input() {
    let folder = tempfile::tempdir().unwrap();
    let input = "registry.example.com:5043\nwhat\n1\nalice\nsecret of alice\n";
    let run = init(folder.path(), &["--listen", "127.0.0.1:8443"], input);
    assert!(run.success, "{}", run.stderr);
    assert!(run.stderr.contains("\n  write 1, 2 or 3\n"), "{}", run.stderr);
    assert!(run.stdout.contains("user      alice\npassword  as you typed it\n"), "{}", run.stdout);
    let address = "registry.example.com:5043";
    let trust = format!("/etc/docker/certs.d/{address}/ca.crt\n  docker login -u alice {address}\n");
    assert!(run.stdout.contains(&trust), "{}", run.stdout);
    let text = fs::read_to_string(folder.path().join("proxy.toml")).unwrap();
    assert!(text.contains(r#"listen = ["127.0.0.1:8443"]"#), "{text}");
    let users = folder.path().join("auth/htpasswd");
    let input = tempfile::NamedTempFile::new().unwrap();
    fs::write(input.path(), "secret of alice\n").unwrap();
    let arguments = ["htpasswd", "verify", users.to_str().unwrap(), "alice"];
    let verified = tools::run_reading(PROGRAM, &arguments, Stdio::from(File::open(input.path()).unwrap()));
    assert!(verified.success, "{}", verified.stderr);
}

#[test]
fn nothing_that_is_there_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    assert!(init(folder.path(), &["--yes"], "").success);
    let read = || files(folder.path()).into_iter().map(|name| fs::read(folder.path().join(name)).unwrap());
    let before: Vec<_> = read().collect();
    let again = init(folder.path(), &["--yes"], "");
    assert_eq!(again.code, Some(73), "{}", again.stderr);
    assert!(
        again.stderr.contains("proxy.toml is there already, and nothing is replaced"),
        "{}",
        again.stderr
    );
    let again = init(folder.path(), &["--yes", "--if-missing"], "");
    assert_eq!(again.code, Some(0), "{}", again.stderr);
    assert_eq!(read().collect::<Vec<_>>(), before);

    // What a command that was ended in the middle has left is completed.
    fs::remove_file(folder.path().join("proxy.toml")).unwrap();
    fs::remove_dir_all(folder.path().join("certs")).unwrap();
    let ca = fs::read(folder.path().join("ca/ca.key")).unwrap();
    let users = fs::read(folder.path().join("auth/htpasswd")).unwrap();
    let completed = init(folder.path(), &["--yes"], "");
    assert!(completed.success, "{}", completed.stderr);
    assert!(completed.stdout.contains("password  unchanged; set one with: tidegate htpasswd add "));
    assert_eq!(fs::read(folder.path().join("ca/ca.key")).unwrap(), ca);
    assert_eq!(fs::read(folder.path().join("auth/htpasswd")).unwrap(), users);
    assert!(check(folder.path()).success);
}

/// As a package leaves it: a file of comments, in a folder of the user that tidegate runs as.
#[test]
fn a_file_without_a_setting_is_filled_in_and_the_owner_stays() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("proxy.toml");
    fs::write(&file, "# Nothing yet.\n\n# [tls]\n").unwrap();
    let input = folder.path().join("input");
    fs::write(&input, "no key").unwrap();
    let bad = input.to_str().unwrap();
    let run = init(folder.path(), &["--yes", "--chain", bad, "--key", bad], "");
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    assert_eq!(fs::read_to_string(&file).unwrap(), "# Nothing yet.\n\n# [tls]\n");
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(folder.path(), Some(4242), Some(4243)).unwrap();
    }
    let run = init(folder.path(), &["--yes"], "");
    assert!(run.success, "{}", run.stderr);
    assert!(check(folder.path()).success);
    if is_root {
        let owner = |name: &str| {
            let found = folder.path().join(name).metadata().unwrap();
            (found.uid(), found.gid())
        };
        for name in ["proxy.toml", "ca", "ca/ca.key", "certs/domain.key", "auth", "auth/htpasswd"] {
            assert_eq!(owner(name), (4242, 4243), "{name}");
        }
    }
}

#[test]
fn a_password_file_is_read_or_made() {
    let folder = tempfile::tempdir().unwrap();
    let there = folder.path().join("first");
    let run = init(&there, &["--yes", "--password-file", "auth/password"], "");
    assert!(run.success, "{}", run.stderr);
    let file = there.join("auth/password");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let password = fs::read_to_string(&file).unwrap();
    assert_eq!(password.trim_end().len(), 24);
    assert!(!run.stdout.contains(password.trim_end()), "{}", run.stdout);
    assert!(run.stdout.contains(&format!("password  in {}\n", file.display())), "{}", run.stdout);

    let second = folder.path().join("second");
    let run = init(&second, &["--yes", "--password-file", file.to_str().unwrap()], "");
    assert!(run.success, "{}", run.stderr);
    let users = second.join("auth/htpasswd");
    let verify = ["htpasswd", "verify", users.to_str().unwrap(), "admin"];
    let verified = tools::run_reading(PROGRAM, &verify, Stdio::from(File::open(&file).unwrap()));
    assert!(verified.success, "{}", verified.stderr);
}

#[test]
fn other_certificates_have_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let first = folder.path().join("first");
    assert!(init(&first, &["--yes"], "").success);
    let at = |name: &str| first.join("certs").join(name).display().to_string();
    let files_there = ["--chain", &at("domain.crt"), "--key", &at("domain.key"), "--yes"];
    let second = folder.path().join("second");
    let run = init(&second, &files_there, "");
    assert!(run.success, "{}", run.stderr);
    assert_eq!(files(&second), ["auth/htpasswd", "proxy.toml"]);
    let text = fs::read_to_string(second.join("proxy.toml")).unwrap();
    assert!(text.contains(&format!("key = {:?}", at("domain.key"))), "{text}");

    let third = folder.path().join("third");
    let acme = ["--certificate", "acme", "--name", "registry.example.com", "--yes"];
    let run = init(&third, &acme, "");
    assert_eq!(run.code, Some(64), "{}", run.stderr);
    assert!(run.stderr.contains("--accept-terms"), "{}", run.stderr);
    let options = [&acme[..], &["--accept-terms", "--listen", "127.0.0.1:8443"]].concat();
    let run = init(&third, &options, "");
    assert!(run.success, "{}", run.stderr);
    assert!(
        run.stdout.contains("note: Let's Encrypt asks at port 443 of registry.example.com"),
        "{}",
        run.stdout
    );
    assert!(check(&third).success);
}

#[test]
fn what_would_not_work_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (key, there) = (folder.path().join("not.pem"), folder.path().join("a/b"));
    fs::write(&key, "no key").unwrap();
    let key = key.to_str().unwrap();
    let run = init(&there, &["--yes", "--chain", key, "--key", key, "--password-file", "auth/password"], "");
    assert_eq!(run.code, Some(78), "{}", run.stderr);
    assert!(
        run.stderr.contains("these settings would not work, so nothing was written:\n"),
        "{}",
        run.stderr
    );
    assert!(!folder.path().join("a").exists());

    let run = init(&there, &["--certificate", "files"], "");
    assert_eq!(run.code, Some(64), "{}", run.stderr);
    assert!(run.stderr.contains("there is no file \"\"; write the path of a PEM file"), "{}", run.stderr);
    let run = init(&folder.path().join("not.pem"), &["--yes"], "");
    assert_eq!(run.code, Some(73), "{}", run.stderr);
}
