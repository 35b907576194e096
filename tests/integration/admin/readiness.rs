//! When clients should be sent here.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::DEADLINE;
use crate::harness::admin::{self, ask, wait_for};
use crate::harness::fake::{self, Fake};
use crate::harness::http1::{self, Client};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};

const BLOB: &str = "GET /v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

fn is_ready(answer: &admin::Answer) -> bool {
    answer.status == 200 && answer.json()["ready"] == true
}

#[test]
fn a_door_is_ready_while_its_registry_answers() {
    // Nothing listens there any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let tidegate = Tidegate::start(admin::settings(&format!("http://{port}")));
    wait_for(&tidegate, "GET /readyz", |answer| answer.body.contains("cannot connect"));
    let down = ask(&tidegate, "GET /readyz", &[]);
    assert_eq!(down.status, 503);
    assert_eq!(
        down.body,
        r#"{"ready":false,"checks":{"upstream":"cannot connect: Connection refused (os error 111)","certificate":"ok","draining":false}}"#
    );
    assert_eq!(down.all("content-type"), ["application/json"]);
    let head = ask(&tidegate, "HEAD /readyz", &[]);
    assert_eq!((head.status, head.body.as_str()), (503, ""));
    // A dead registry must not restart the doors.
    assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);

    let registry = Fake::on(TcpListener::bind(port).unwrap(), |conversation| {
        while conversation.read_head().is_some() {
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    });
    let back = wait_for(&tidegate, "GET /readyz", is_ready);
    assert!(back < Duration::from_secs(4), "it took {back:?} to notice a registry that is back");
    assert_eq!(
        ask(&tidegate, "GET /readyz", &[]).body,
        r#"{"ready":true,"checks":{"upstream":"ok","certificate":"ok","draining":false}}"#
    );
    drop(registry);
    let gone = wait_for(&tidegate, "GET /readyz", |answer| !is_ready(answer));
    assert!(gone < Duration::from_secs(12), "it took {gone:?} to notice a registry that is gone");
    assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);
    let log = tidegate.log.so_far().join("\n");
    assert!(log.contains(" is down: cannot connect") && log.contains(" is up"), "{log}");
}

#[test]
fn a_registry_that_never_answers_or_answers_something_else_is_down() {
    for (answer, why) in [
        ("HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", "it answers with 503 Service Unavailable"),
        ("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", "it answers with 401 Unauthorized"),
        (
            "HTTP/1.1 301 x\r\nLocation: http://inside.test/v2/\r\nContent-Length: 0\r\n\r\n",
            "it answers with 301",
        ),
        ("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", "it answers with 200 OK"),
        ("nonsense\r\n\r\n", "its answer is not HTTP"),
    ] {
        let registry = Fake::scripted(answer, true);
        let tidegate = Tidegate::start(admin::settings(&registry.url()));
        wait_for(&tidegate, "GET /readyz", |answer| answer.body.contains(why));
        let body = ask(&tidegate, "GET /readyz", &[]).body;
        // It is for everybody, so it says nothing about the inside.
        assert!(!body.contains("inside") && !body.contains("127.0.0.1"), "{body}");
    }
    let silent = Fake::silent();
    let tidegate = Tidegate::start(admin::settings(&silent.url()));
    wait_for(&tidegate, "GET /readyz", |answer| answer.body.contains("no answer within the read timeout"));
}

#[test]
fn a_registry_that_asks_for_its_own_tokens_is_healthy() {
    let registry = Fake::scripted("HTTP/1.1 401 x\r\nContent-Length: 0\r\n\r\n", false);
    let settings = admin::settings(&registry.url()).set("upstream.authorization", r#""pass""#);
    let tidegate = Tidegate::start(settings.set("auth.mode", r#""off""#));
    wait_for(&tidegate, "GET /readyz", is_ready);
}

#[test]
fn a_door_beside_its_registry_is_ready_without_it() {
    let settings = admin::settings(&fake::refusing()).set("server.readiness", r#""self""#);
    let tidegate = Tidegate::start(settings);
    wait_for(&tidegate, "GET /readyz", |answer| is_ready(answer) && answer.body.contains("cannot connect"));
    // The choice takes effect with a reload.
    let changed = tidegate.settings.toml().replace(r#"readiness = "self""#, r#"readiness = "upstream""#);
    std::fs::write(tidegate.settings.file(), changed).unwrap();
    wait_for(&tidegate, "GET /readyz", |answer| answer.status == 503);
}

#[test]
fn another_registry_in_the_settings_is_asked_soon() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(admin::settings(&fake::refusing()));
    wait_for(&tidegate, "GET /readyz", |answer| answer.body.contains("cannot connect"));
    let settings = admin::settings(&recorder.url());
    for file in ["server.crt", "server.key", "htpasswd"] {
        std::fs::copy(settings.path().join(file), tidegate.settings.path().join(file)).unwrap();
    }
    std::fs::write(tidegate.settings.file(), settings.toml()).unwrap();
    wait_for(&tidegate, "GET /readyz", is_ready);
}

#[test]
fn a_door_with_a_temporary_certificate_is_not_ready() {
    let recorder = Recorder::start();
    // Nothing listens where the directory should be.
    let directory = fake::refusing().replace("http:", "https:");
    let settings = admin::settings(&recorder.url())
        .unset("tls.certificate")
        .unset("tls.key")
        .set("acme.directory", &format!("\"{directory}/directory\""))
        .set("acme.names", r#"["localhost"]"#)
        .set("acme.ca", r#""ca.crt""#)
        .set("acme.accept_terms", "true");
    let tidegate = Tidegate::start(settings);
    wait_for(&tidegate, "GET /readyz", |answer| {
        answer.body
            == r#"{"ready":false,"checks":{"upstream":"ok","certificate":"temporary","draining":false}}"#
    });
    assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);
    // As the directory would issue it.
    let issued = tidegate.settings.authority.issue("issued");
    let file = tidegate.settings.path().join("acme/certificate.pem");
    std::fs::write(&file, issued.certificate + &issued.key).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    wait_for(&tidegate, "GET /readyz", is_ready);
}

#[test]
fn nobody_is_sent_here_from_the_first_signal_on_and_every_probe_is_answered() {
    let (send, rest) = channel();
    let rest = Mutex::new(rest);
    let registry = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if head[0].starts_with("GET /v2/ ") {
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                continue;
            }
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            let _ = rest.lock().unwrap().recv_timeout(DEADLINE);
            conversation.write(b" rest");
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let settings = Settings::for_upstream(&registry.url())
        .set("server.admin", &format!(r#"["127.0.0.1:0", "unix:{}"]"#, path.display()))
        .set("server.drain_timeout", r#""20s""#);
    let mut tidegate = Tidegate::start(settings);
    wait_for(&tidegate, "GET /readyz", is_ready);
    let mut client = Client::connect(&tidegate);
    client.send(http1::head(BLOB, &[&http1::authorized()]));
    assert_eq!(client.head_only().unwrap().0, 200);
    tidegate.signal(Signal::TERM);
    tidegate.log.wait_for("the signal", |line| line.contains("draining"));
    let answer = ask(&tidegate, "GET /readyz", &[]);
    assert_eq!(answer.status, 503);
    assert_eq!(
        answer.body,
        r#"{"ready":false,"checks":{"upstream":"ok","certificate":"ok","draining":true}}"#
    );
    // The TLS listener closes after half of the time; the workers answer for the transfer.
    while std::net::TcpStream::connect(tidegate.address).is_ok() {
        assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);
        assert_eq!(ask(&tidegate, "GET /readyz", &[]).status, 503);
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(ask(&tidegate, "GET /healthz", &[]).status, 200);
    assert_eq!(admin::ask_socket(&path, "GET /readyz", &[]).status, 503);
    send.send(()).unwrap();
    assert_eq!(client.exactly(10), (b"first rest".to_vec(), true));
    assert_eq!(tidegate.wait().code(), Some(0));
    assert!(!path.exists());
}
