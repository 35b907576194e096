//! What systemd passes to the program, and what it is told.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::BASIC;
use crate::harness::admin::{self, ask_socket};
use crate::harness::http1::Client;
use crate::harness::manager::Manager;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};

/// A listening socket as systemd has it, and its address.
fn listener() -> (OwnedFd, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener.into(), address)
}

#[test]
fn passed_sockets_take_the_place_of_the_addresses() {
    let recorder = Recorder::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let ((https, address), (http, plain), (tcp, watched)) = (listener(), listener(), listener());
    let unix = OwnedFd::from(UnixListener::bind(&path).unwrap());
    let settings = Settings::for_upstream(&recorder.url())
        .unset("server.listen")
        .set("server.plain", r#"["127.0.0.1:1"]"#)
        .pass(vec![("admin", tcp), ("https", https), ("admin", unix), ("http", http)]);
    let mut tidegate = Tidegate::start(settings);
    assert_eq!(tidegate.address, address);
    assert_eq!(tidegate.plain(), plain);
    let answer = Client::connect(&tidegate).exchange("GET /v2/", &[&format!("Authorization: {BASIC}")]);
    assert_eq!(answer.status, 200);
    let moved =
        admin::exchange(TcpStream::connect(plain).unwrap(), "GET /v2/", &["Host: localhost"]).unwrap();
    assert_eq!(moved.all("location"), [format!("https://localhost:{}/v2/", address.port())]);
    let health = admin::exchange(TcpStream::connect(watched).unwrap(), "GET /healthz", &[]).unwrap();
    assert_eq!(health.status, 200);
    assert_eq!(ask_socket(&path, "GET /healthz", &[]).status, 200);
    let unheeded = |line: &str| line.contains("tidegate does not listen on");
    let told: Vec<String> = tidegate.log.so_far().into_iter().filter(|line| unheeded(line)).collect();
    assert!(
        told.len() == 1 && told[0].contains("server.plain: tidegate does not listen on 127.0.0.1:1"),
        "{told:?}"
    );
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert!(path.exists(), "the socket is systemd's");
}

#[test]
fn sockets_for_nothing_are_refused() {
    let settings = || Settings::for_upstream("http://127.0.0.1:1");
    let refusal = settings().pass(vec![("tidegate.socket", listener().0)]).refused();
    let told = r#"the name "tidegate.socket"; write FileDescriptorName=https, http or admin in its unit"#;
    assert!(refusal.code == 71 && refusal.output[0].contains(told), "{:?}", refusal.output);
    let folder = tempfile::tempdir().unwrap();
    let unix = UnixListener::bind(folder.path().join("socket")).unwrap();
    let refusal = settings().pass(vec![("https", unix.into())]).refused();
    let told = r#"the socket "https" that systemd passes cannot be used; write ListenStream= in its unit"#;
    assert!(refusal.code == 71 && refusal.output[0].contains(told), "{:?}", refusal.output);
}

#[test]
fn the_manager_is_told_of_the_start_of_reloads_and_of_the_stop() {
    let recorder = Recorder::start();
    let manager = Manager::new();
    let mut tidegate = Tidegate::start(manager.asks(Settings::for_upstream(&recorder.url())));
    manager.wait_for("the start", |message| message == "READY=1\nSTATUS=serving");
    tidegate.signal(Signal::HUP);
    manager.wait_for("the reload", |message| message.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    manager.wait_for("its end", |message| message == "READY=1\nSTATUS=serving");

    let settings = fs::read_to_string(tidegate.settings.file()).unwrap();
    fs::write(tidegate.settings.file(), settings.replace("[server]", "[sarver]")).unwrap();
    tidegate.signal(Signal::HUP);
    manager.wait_for("the reload", |message| message.starts_with("RELOADING=1"));
    let told =
        manager.wait_for("its failure", |message| message.starts_with("READY=1\nSTATUS=serving with the"));
    assert!(told.contains("sarver"), "{told}");
    fs::write(tidegate.settings.file(), settings).unwrap();
    // The change of the file is enough.
    manager.wait_for("that all is well again", |message| message == "STATUS=serving");

    tidegate.signal(Signal::TERM);
    manager.wait_for("the stop", |message| message.starts_with("STOPPING=1\nSTATUS="));
    assert_eq!(tidegate.wait().code(), Some(0));
}

#[test]
fn the_watchdog_is_fed_only_while_every_worker_turns() {
    let recorder = Recorder::start();
    let manager = Manager::new();
    let settings = manager.asks(Settings::for_upstream(&recorder.url()).set("server.threads", "2"));
    let stick = settings.path().join("stick");
    let tidegate = Tidegate::start(
        settings
            .environment("WATCHDOG_USEC", "600000")
            .environment("TIDEGATE_TEST_STICK", stick.to_str().unwrap()),
    );
    let fed = |message: &str| message == "WATCHDOG=1";
    for _ in 0..3 {
        manager.wait_for("a sign of life", fed);
    }
    fs::write(&stick, "").unwrap();
    let _stuck = TcpStream::connect(tidegate.address).unwrap();
    tidegate.log.wait_for("the stuck worker", |line| line.contains("worker threads do not answer"));
    while manager.hears(Duration::from_millis(1)).is_some() {}
    assert_eq!(manager.hears(Duration::from_secs(2)), None);
    fs::remove_file(&stick).unwrap();
    manager.wait_for("a sign of life", fed);
}
