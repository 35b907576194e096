//! A registry whose machine vanishes without a word, and one that is only slow.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::fake::{Conversation, Fake};
use crate::harness::http1::{self, Client};
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::two_machines::TwoMachines;

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const TAGS: &str = "/v2/a/tags/list";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
/// Ten seconds of patience, the steps in which it is measured, and a connect timeout. A kernel left
/// alone takes a quarter of an hour.
const AT_MOST: Duration = Duration::from_secs(28);
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

/// Answers questions for tags and blobs, except for the first blob. For that and for uploads it
/// reports that they have begun and says nothing.
fn serve(listener: TcpListener) -> Receiver<String> {
    let (begun, begins) = channel();
    let begun = Arc::new(Mutex::new(begun));
    let first_blob = Arc::new(AtomicBool::new(true));
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (begun, first_blob) = (begun.clone(), first_blob.clone());
            std::thread::spawn(move || {
                let mut conversation = Conversation::over(stream);
                while let Some(head) = conversation.read_head() {
                    let is_blob = head[0].starts_with("GET /v2/a/blobs/");
                    let is_ping =
                        ["GET /v2/ ", "GET /v2/a/tags/"].iter().any(|ping| head[0].starts_with(ping));
                    if is_ping || is_blob && !first_blob.swap(false, Ordering::SeqCst) {
                        let address = conversation.address().ip();
                        conversation.write(
                            format!("HTTP/1.1 200 OK\r\nX-Address: {address}\r\nContent-Length: 0\r\n\r\n")
                                .as_bytes(),
                        );
                    } else {
                        begun.lock().unwrap().send(head[0].clone()).unwrap();
                        while conversation.read_some().is_some() {}
                    }
                }
            });
        }
    });
    begins
}

struct Setup {
    machines: TwoMachines,
    begins: Receiver<String>,
    tidegate: Tidegate,
}

impl Setup {
    fn start() -> Option<Setup> {
        let machines = TwoMachines::start()?;
        let (port, begins) = machines.on_the_far_machine(|| {
            let listener = TcpListener::bind("0.0.0.0:0").unwrap();
            (listener.local_addr().unwrap().port(), serve(listener))
        });
        machines.move_near();
        let settings = Settings::for_upstream(&format!("http://registry.test:{port}"))
            .set("server.threads", "1")
            // The same address for all requests about a repository, as long as it is there.
            .set("upstream.balance", r#""hash""#)
            .set("upstream.connect_timeout", r#""3s""#)
            .run_by(machines.runner());
        let tidegate = Tidegate::start(settings);
        Some(Setup { machines, begins, tidegate })
    }
}

/// Asks for the tags; the address of the registry that answers it.
fn address(client: &mut Client) -> String {
    let response = client.exchange(&format!("GET {TAGS}"), &[AUTH]);
    assert_eq!(response.status, 200, "{}", response.text());
    response.all("X-Address")[0].to_owned()
}

#[test]
fn requests_to_a_machine_that_vanished_end_soon_and_a_get_is_sent_again() {
    let Some(Setup { machines, begins, tidegate }) = Setup::start() else { return };
    let mut clients: Vec<_> = (0..3).map(|_| Client::connect(&tidegate)).collect();
    let gone = address(&mut clients[0]);
    // One waits for an answer on the kept connection, one is in the middle of its body.
    clients[1].send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    clients[2].send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, "Content-Length: 1000000"]));
    clients[2].send([7; 1000]);
    let lines = [(); 2].map(|()| begins.recv_timeout(AT_MOST).unwrap());
    assert!(lines.iter().any(|line| line.starts_with("PATCH")), "{lines:?}");
    assert_eq!(address(&mut clients[0]), gone, "another connection, which is kept");

    machines.cut(&gone);
    let start = Instant::now();
    clients[2].send([7; 1000]);
    clients[0].send(http1::head(&format!("GET {TAGS}"), &[AUTH]));
    for client in [0, 1] {
        let response = clients[client].response(false).unwrap();
        assert_eq!(response.status, 200, "{client}: {}", response.text());
        assert_ne!(response.all("X-Address")[0], gone);
    }
    let response = clients[2].response(false).unwrap();
    assert_eq!(
        (response.status, response.error_code().as_str()),
        (502, "UNAVAILABLE"),
        "{}",
        response.text()
    );
    assert!(start.elapsed() < AT_MOST, "{:?}", start.elapsed());
}

#[test]
fn a_registry_that_is_slow_but_alive_keeps_its_time() {
    const SLOW: Duration = Duration::from_secs(24);
    const BODY: usize = 16 << 20;
    // Its receive window closes, and it acknowledges the kernel's probes only.
    let registry = Fake::start(|conversation| {
        let Some(head) = conversation.read_head() else { return };
        std::thread::sleep(SLOW);
        let mut left = if head[0].starts_with("PATCH") { BODY } else { 0 };
        while left > 0 {
            left -= conversation.read_some().expect("the upload goes on").len();
        }
        conversation.write(ANSWER);
    });
    let tidegate = Tidegate::start(Settings::for_upstream(&registry.url()));
    let (mut get, mut patch) = (Client::connect(&tidegate), Client::connect(&tidegate));
    get.send(http1::head(&format!("GET {TAGS}"), &[AUTH]));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let length = format!("Content-Length: {BODY}");
            patch.send(http1::head(&format!("PATCH {UPLOAD}"), &[AUTH, &length]));
            patch.send(vec![7; BODY]);
            assert_eq!(patch.response(false).unwrap().status, 200);
        });
        assert_eq!(get.response(false).unwrap().status, 200);
    });
}
