//! `tidegate top` against a running tidegate.

use crate::harness::admin;
use crate::harness::fake::Fake;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tools::{Run, run};

fn top(arguments: &[&str]) -> Run {
    run(env!("CARGO_BIN_EXE_tidegate"), &[&["top"], arguments].concat())
}

#[track_caller]
fn refused(arguments: &[&str], code: i32, said: &str) {
    let run = top(arguments);
    assert_eq!((run.code, run.stdout.as_str()), (Some(code), ""), "{}", run.stderr);
    assert!(run.stderr.contains(said), "{said}: {}", run.stderr);
}

#[test]
fn it_says_what_to_do_if_nothing_can_be_asked() {
    let fake = Fake::silent();
    let tidegate = Tidegate::start(Settings::for_upstream(&fake.url()));
    let file = tidegate.settings.file();
    refused(&["--config", file.to_str().unwrap()], 78, "server.admin is not set; write admin = [");
    refused(&["--config", "/nowhere/proxy.toml"], 66, "/nowhere/proxy.toml");
    refused(&["--admin", "unix:/nowhere/socket"], 69, "unix:/nowhere/socket cannot be reached: No such file");
    refused(&["--admin", "localhost"], 64, "write an IP address and a port, such as 127.0.0.1:9443");
    refused(&["--admin", &tidegate.address.to_string()], 69, "answered 400 Bad Request");
}

#[test]
fn a_frame_and_the_status_are_printed_for_scripts() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(admin::settings(&recorder.url()));
    let address = admin::address(&tidegate).to_string();
    for option in ["--once", "--json"] {
        let run = top(&["--admin", &address, option]);
        assert!(run.success, "{}", run.stderr);
        assert!(!run.stdout.contains('\u{1b}'), "{}", run.stdout);
        if option == "--json" {
            let status: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
            assert_eq!(status["transfers_total"], 0);
        } else {
            assert!(run.stdout.starts_with("tidegate ") && run.stdout.contains("no transfer is running"));
        }
    }
}
