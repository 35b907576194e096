//! `tidegate health`

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use rustix::process::Signal;

use crate::harness::admin::{self, wait_for};
use crate::harness::fake;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};

struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

/// Runs the command in an empty folder with these arguments.
fn health(folder: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("health").args(arguments).current_dir(folder).env_clear();
    let output = command.envs(environment.iter().copied()).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Ended { code: output.status.code().unwrap(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

/// A proxy.toml with this list, and none of the files that it names.
fn written(folder: &Path, admin: &str) {
    fs::write(folder.join("proxy.toml"), format!("[server]\nadmin = {admin}\n")).unwrap();
}

#[test]
fn it_asks_the_listener_that_the_settings_name() {
    let (folder, recorder) = (tempfile::tempdir().unwrap(), Recorder::start());
    let socket = folder.path().join("admin.sock");
    let settings = Settings::for_upstream(&recorder.url())
        .set("server.admin", &format!(r#"["127.0.0.1:0", "unix:{}"]"#, socket.display()));
    let mut tidegate = Tidegate::start(settings);
    wait_for(&tidegate, "GET /readyz", |answer| answer.status == 200);
    let port = admin::address(&tidegate).port();
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (list, asked) in [
        (format!(r#"["127.0.0.1:{port}"]"#), format!("127.0.0.1:{port}")),
        (format!(r#"["0.0.0.0:{port}"]"#), format!("127.0.0.1:{port}")),
        (format!(r#"["unix:{}"]"#, socket.display()), format!("unix:{}", socket.display())),
        (format!(r#"["{unused}", "unix:/none", "127.0.0.1:{port}"]"#), format!("127.0.0.1:{port}")),
    ] {
        written(folder.path(), &list);
        let ended = health(folder.path(), &[], &[]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (0, format!("{asked}: healthy").as_str()),
            "{}",
            ended.stderr
        );
        let ended = health(folder.path(), &["--ready", "--config", "proxy.toml"], &[]);
        assert_eq!(
            (ended.code, ended.stdout.as_str()),
            (0, format!("{asked}: ready").as_str()),
            "{}",
            ended.stderr
        );
    }
    // The environment counts as for the process itself, and mistakes elsewhere do not.
    fs::write(folder.path().join("other.toml"), "[server]\nlisten = [3]\n[nonsense]\n").unwrap();
    let admin = format!("127.0.0.1:{port}");
    let variables = [("TIDEGATE_SERVER_ADMIN", admin.as_str()), ("TIDEGATE_CONFIG", "other.toml")];
    assert_eq!(health(folder.path(), &[], &variables).code, 0);

    tidegate.signal(Signal::KILL);
    tidegate.wait();
    written(folder.path(), &format!(r#"["127.0.0.1:{port}"]"#));
    let ended = health(folder.path(), &[], &[]);
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.starts_with(&format!("tidegate: 127.0.0.1:{port} cannot be reached: ")),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stderr.lines().count(), 1);
}

#[test]
fn it_says_why_clients_should_not_be_sent_here() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    wait_for(&tidegate, "GET /readyz", |answer| answer.body.contains("cannot connect"));
    let (folder, address) = (tempfile::tempdir().unwrap(), admin::address(&tidegate));
    written(folder.path(), &format!(r#"["{address}"]"#));
    let ended = health(folder.path(), &["--ready"], &[]);
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.stderr,
        format!(
            "tidegate: {address}: not ready: the registry is down: cannot connect: Connection refused (os error 111)"
        )
    );
    // The process itself works.
    assert_eq!(health(folder.path(), &[], &[]).code, 0);
}

#[test]
fn settings_without_an_address_are_a_mistake_in_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let run = |text: &str| {
        fs::write(folder.path().join("proxy.toml"), text).unwrap();
        health(folder.path(), &[], &[])
    };
    let pair = "[tls]\ncertificate = \"c\"\nkey = \"k\"\n";
    for (text, told) in [
        (
            pair,
            "server.admin is not set in proxy.toml, so nothing answers; write admin = [\"127.0.0.1:9443\"]",
        ),
        ("[server]\nadmin = [\"127.0.0.1:0\"]", "server.admin is 127.0.0.1:0, and the system chose a port"),
        ("[server]\nadmin = [\"localhost:1\"]", "proxy.toml:2:10: server.admin: found \"localhost:1\""),
        ("[server]\nadmin = []\n[nonsense]\n", "unknown section [nonsense]"),
    ] {
        let ended = run(text);
        assert!(ended.code == 78 && ended.stderr.contains(told), "{text}: {} {}", ended.code, ended.stderr);
    }
    fs::remove_file(folder.path().join("proxy.toml")).unwrap();
    assert_eq!(health(folder.path(), &[], &[]).code, 66);
}
