//! The sockets of the admin listener.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;

use rustix::process::Signal;

use crate::harness::DEADLINE;
use crate::harness::admin::{self, ask, ask_socket};
use crate::harness::fake;
use crate::harness::http1;
use crate::harness::tidegate::{Settings, Tidegate};

#[test]
fn a_socket_is_there_while_the_process_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    // A killed process leaves its socket.
    drop(UnixListener::bind(&path).unwrap());
    let settings = || {
        let admin = format!(r#"["unix:{}"]"#, path.display());
        Settings::for_upstream(&fake::refusing()).set("server.admin", &admin)
    };
    let mut tidegate = Tidegate::start(settings());
    assert_eq!(ask_socket(&path, "GET /healthz", &[]).status, 200);
    assert_eq!(ask_socket(&path, "GET /", &["Host: anything"]).status, 200);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    let refusal = settings().refused();
    let told = format!("server.admin unix:{}: another program listens there", path.display());
    assert!(
        refusal.code == 71 && refusal.output.iter().any(|line| line.contains(&told)),
        "{:?}",
        refusal.output
    );
    assert_eq!(ask_socket(&path, "GET /healthz", &[]).status, 200);
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn a_file_in_the_place_of_the_socket_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    fs::write(&path, "precious").unwrap();
    let refused = |path: &str| {
        let settings = Settings::for_upstream(&fake::refusing());
        let refusal = settings.set("server.admin", &format!(r#"["unix:{path}"]"#)).refused();
        assert_eq!(refusal.code, 71);
        refusal.output.join("\n")
    };
    assert!(refused(path.to_str().unwrap()).contains("a file that is not a socket is there"));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    let missing = folder.path().join("none/admin.sock");
    assert!(refused(missing.to_str().unwrap()).contains("the folder does not exist; make it with `mkdir "));
}

#[test]
fn a_port_in_use_is_reported_as_that_of_the_admin_listener() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let settings = Settings::for_upstream(&fake::refusing());
    let refusal = settings.set("server.admin", &format!(r#"["{address}"]"#)).refused();
    let told = format!("server.admin {address}: the port is in use");
    assert!(
        refusal.code == 71 && refusal.output.iter().any(|line| line.contains(&told)),
        "{:?}",
        refusal.output
    );
}

#[test]
fn a_connection_serves_many_requests() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    let mut socket = TcpStream::connect(admin::address(&tidegate)).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    for _ in 0..3 {
        socket.write_all(http1::head("HEAD /healthz", &[]).as_bytes()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        assert!(head.starts_with(b"HTTP/1.1 200 "), "{head:?}");
    }
}

/// Silent connections leave for those who ask.
#[test]
fn connections_without_a_request_keep_nobody_out() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    let address = admin::address(&tidegate);
    let crowd = || {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect(&address.into()).unwrap();
        let mut socket = TcpStream::from(socket);
        _ = socket.write_all(b"GET /healthz HTTP/1.1\r\nHost: loc");
        socket
    };
    let _silent: Vec<TcpStream> = (0..200).map(|_| crowd()).collect();
    assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);
    let long = format!("X: {}", "x".repeat(100_000));
    assert_eq!(ask(&tidegate, "GET /healthz", &[&long]).status, 431);
    assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);
}

#[test]
fn another_address_takes_effect_at_the_next_start() {
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    let changed = tidegate.settings.toml().replace(r#"admin = ["127.0.0.1:0"]"#, "admin = []");
    fs::write(tidegate.settings.file(), changed).unwrap();
    tidegate.log.wait_for("the remark", |line| {
        line.contains("takes effect at the next start") && line.contains("server.admin")
    });
    assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);
}
