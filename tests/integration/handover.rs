//! Another process takes over: an upgrade without a gap.

use std::fs;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;

use crate::harness::DEADLINE;
use crate::harness::admin::{self, ask_socket};
use crate::harness::fake::Fake;
use crate::harness::frames::{self, Frame, Frames};
use crate::harness::http1::{self, Client};
use crate::harness::manager::Manager;
use crate::harness::namespaces::Namespaces;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};
use crate::harness::tls::Tls;
use crate::policy::{self, AUTH};
use crate::tickets::resumes;

const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// The process that has taken over; killed when dropped.
struct Heir(OwnedFd);

impl Heir {
    /// The one that the manager is told to watch.
    fn of(manager: &Manager) -> Heir {
        let told = manager.wait_for("the handover", |message| message.starts_with("MAINPID="));
        assert!(told.ends_with("\nREADY=1\nSTATUS=serving"), "{told}");
        let pid = told.lines().next().unwrap().strip_prefix("MAINPID=").unwrap().parse().unwrap();
        // systemd gives time to end only to its own children.
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:\t")).unwrap();
        assert_ne!(fs::read_to_string(format!("/proc/{parent}/comm")).unwrap(), "tidegate\n");
        let heir = Heir(pidfd_open(Pid::from_raw(pid).unwrap(), PidfdFlags::empty()).unwrap());
        // It speaks for itself from now on.
        manager.wait_for("the new process", |message| message == "READY=1\nSTATUS=serving");
        heir
    }

    fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.0, signal).unwrap();
    }

    /// Waits for its end.
    fn wait(&self) {
        let time = Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 };
        let ended = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&time)).unwrap();
        assert!(ended > 0, "the new process never ended");
    }
}

impl Drop for Heir {
    fn drop(&mut self) {
        let _ = pidfd_send_signal(&self.0, Signal::KILL);
    }
}

/// A registry whose blobs come in two halves, the second when it is told so.
fn halves() -> (Fake, Sender<()>) {
    let (send, rest) = channel();
    let rest = Mutex::new(rest);
    let fake = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            if !head[0].contains("/blobs/") {
                conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
                continue;
            }
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            let _ = rest.lock().unwrap().recv_timeout(DEADLINE);
            conversation.write(b" rest");
        }
    });
    (fake, send)
}

fn pull(tidegate: &Tidegate) -> Client {
    let mut client = Client::connect(tidegate);
    client.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
    assert_eq!(client.head_only().unwrap().0, 200);
    client
}

fn ask(tidegate: &Tidegate) -> u16 {
    Client::connect(tidegate).exchange("GET /v2/", &[AUTH]).status
}

fn audit_lines(file: &Path) -> Vec<Value> {
    fs::read_to_string(file).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Each number was given once, and none was left out.
fn assert_numbered(lines: &[Value]) {
    let mut numbers: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=lines.len() as u64).collect::<Vec<_>>());
}

fn count(lines: &[Value], event: &str, outcome: &str) -> usize {
    lines.iter().filter(|line| line["event"] == event && line["outcome"] == outcome).count()
}

#[test]
fn another_process_takes_over_without_a_gap() {
    let (registry, send) = halves();
    let manager = Manager::new();
    let settings = manager.asks(Settings::for_upstream(&registry.url()));
    let (socket, audit) = (settings.path().join("admin.sock"), settings.path().join("audit.log"));
    let settings = settings
        .set("server.admin", &format!(r#"["unix:{}"]"#, socket.display()))
        .set("log.audit", &format!("{:?}", audit.display().to_string()));
    let mut tidegate = Tidegate::start(settings);
    let mut running = pull(&tidegate);
    let mut kept = Client::connect(&tidegate);
    assert_eq!(kept.exchange("GET /v2/", &[AUTH]).status, 200);
    let mut tls = Tls::connect(&tidegate, "h2");
    tls.send(&[frames::PREFACE, &Frame::new(frames::SETTINGS, 0, 0, &[]).bytes()].concat()).unwrap();
    let mut multiplexed = Frames::over(tls);
    let stop = Arc::new(AtomicBool::new(false));
    let visitor = std::thread::spawn({
        let (stop, address) = (stop.clone(), tidegate.address);
        let config = tidegate.settings.authority.client(&["http/1.1"]);
        move || {
            let mut visits = 0;
            let mut slowest = Duration::ZERO;
            while !stop.load(Ordering::Relaxed) {
                let begun = Instant::now();
                let mut client = Client::over(Tls::connect_with(address, config.clone()).unwrap());
                assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
                slowest = slowest.max(begun.elapsed());
                visits += 1;
            }
            (visits, slowest)
        }
    });

    tidegate.signal(Signal::USR2);
    manager.wait_for("its begin", |message| message.starts_with("RELOADING=1\nMONOTONIC_USEC="));
    let heir = Heir::of(&manager);
    tidegate.log.wait_for("the handover", |line| line.contains("another process has taken over"));
    // The old process still answers what was opened at it, and says that it leaves.
    let last = kept.exchange("GET /v2/", &[AUTH]);
    assert_eq!((last.status, last.all("connection")), (200, vec!["close"]));
    while multiplexed.next().unwrap().expect("it goes away in order").kind != frames::GOAWAY {}
    assert!(tidegate.is_running(), "it does not wait for the pull");
    send.send(()).unwrap();
    assert_eq!(running.exactly(10), (b"first rest".to_vec(), true));
    drop((running, kept, multiplexed));
    assert_eq!(tidegate.wait().code(), Some(0));
    assert_eq!(ask(&tidegate), 200);
    assert_eq!(ask_socket(&socket, "GET /healthz", &[]).status, 200);
    stop.store(true, Ordering::Relaxed);
    let (visits, slowest) = visitor.join().unwrap();
    assert!(visits > 0 && slowest < DEADLINE / 3, "{visits} visits, the slowest in {slowest:?}");

    heir.signal(Signal::TERM);
    manager.wait_for("the stop", |message| message.starts_with("STOPPING=1"));
    heir.wait();
    assert!(!socket.exists());
    let lines = audit_lines(&audit);
    assert_numbered(&lines);
    let counts = ["start", "handover", "stop"].map(|event| count(&lines, event, "success"));
    assert_eq!(counts, [2, 1, 2]);
}

#[test]
fn sessions_tokens_and_a_transfer_outlive_two_handovers() {
    let (registry, send) = halves();
    let manager = Manager::new();
    // Neither the tickets nor the tokens have a key in a file.
    let settings = manager.asks(Settings::for_upstream(&registry.url()));
    let audit = settings.path().join("audit.log");
    let settings = settings
        .set("auth.mode", r#""token""#)
        .set("token.service", r#""registry.test""#)
        .set("log.audit", &format!("{:?}", audit.display().to_string()));
    let mut tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let given = client.exchange("GET /auth/token?service=registry.test&scope=repository:a:pull", &[AUTH]);
    let given: Value = serde_json::from_slice(&given.body).unwrap();
    let bearer = format!("Authorization: Bearer {}", given["token"].as_str().unwrap());
    drop(client);
    let session = tidegate.settings.path().join("session");
    assert!(!resumes(&tidegate, "-tls1_3", None, Some(&session)));
    let mut running = Client::connect(&tidegate);
    running.send(http1::head(&format!("GET {BLOB}"), &[&bearer]));
    assert_eq!(running.head_only().unwrap().0, 200);

    tidegate.signal(Signal::USR2);
    let first = Heir::of(&manager);
    assert!(resumes(&tidegate, "-tls1_3", Some(&session), None));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/a/tags/list", &[&bearer]).status, 200);
    first.signal(Signal::USR2);
    let second = Heir::of(&manager);
    first.wait();
    assert!(resumes(&tidegate, "-tls1_3", Some(&session), None));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/a/tags/list", &[&bearer]).status, 200);
    assert!(tidegate.is_running(), "it does not wait for the pull");
    send.send(()).unwrap();
    assert_eq!(running.exactly(10), (b"first rest".to_vec(), true));
    drop(running);
    assert_eq!(tidegate.wait().code(), Some(0));
    second.signal(Signal::TERM);
    second.wait();
    assert_numbered(&audit_lines(&audit));
}

/// Replaces the program at `path`, as a package does it.
fn replace(path: &Path, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(new, path).unwrap();
}

#[test]
fn a_program_that_cannot_start_leaves_the_old_one_serving() {
    let recorder = Recorder::start();
    let manager = Manager::new();
    let settings = manager.asks(admin::settings(&recorder.url())).environment("TIDEGATE_TEST_PATIENCE", "2");
    let audit = settings.path().join("audit.log");
    let program = settings.path().join("tidegate");
    symlink(env!("CARGO_BIN_EXE_tidegate"), &program).unwrap();
    let settings = settings.set("log.audit", &format!("{:?}", audit.display().to_string())).program(&program);
    let mut tidegate = Tidegate::start(settings);
    manager.wait_for("the start", |message| message.starts_with("READY=1"));
    let tries = |signal: Signal, reason: &str| {
        tidegate.signal(signal);
        manager.wait_for("the reload", |message| message.starts_with("RELOADING=1"));
        let told = manager.wait_for("its end", |message| message.starts_with("READY=1\n"));
        let why = "READY=1\nSTATUS=serving; the new program does not take over: ";
        assert!(told.starts_with(why) && told.contains(reason), "{told}");
        assert_eq!(ask(&tidegate), 200);
    };
    replace(&program, "#!/no/such/interpreter\n");
    tries(Signal::HUP, "cannot be started: No such file or directory");
    replace(&program, "#!/bin/sh\nexit 3\n");
    tries(Signal::HUP, "it ended before it was ready (exit status: 3)");
    replace(&program, "#!/bin/sh\nexec sleep 1000\n");
    tries(Signal::HUP, "it was not ready within 2s");
    fs::remove_file(&program).unwrap();
    tries(Signal::USR2, "cannot be started");
    symlink(env!("CARGO_BIN_EXE_tidegate"), &program).unwrap();
    let right = fs::read_to_string(tidegate.settings.file()).unwrap();
    fs::write(tidegate.settings.file(), right.replace("[server]", "[sarver]")).unwrap();
    tries(Signal::USR2, "sarver");
    fs::write(tidegate.settings.file(), &right).unwrap();

    let metrics = admin::ask(&tidegate, "GET /metrics", &[]).body;
    let failures = r#"tidegate_reloads_total{cause="handover",result="failure"} 5"#;
    assert!(metrics.contains(failures), "{metrics}");
    assert!(tidegate.is_running());
    tidegate.signal(Signal::USR2);
    let heir = Heir::of(&manager);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert_eq!(ask(&tidegate), 200);
    heir.signal(Signal::TERM);
    heir.wait();
    let lines = audit_lines(&audit);
    assert_eq!((count(&lines, "handover", "failure"), count(&lines, "handover", "success")), (5, 1));
}

#[test]
fn an_immutable_tag_is_not_pushed_at_both_processes() {
    let (registry, begun, go) = policy::slow();
    let manager = Manager::new();
    let settings = manager.asks(policy::settings(&registry.url()));
    let tidegate = Tidegate::start(settings.set("policy.immutable_tags", r#"["team/**:v*"]"#));
    let push = |client: &mut Client, tag: &str| {
        let head = http1::head(&format!("PUT /v2/team/app/manifests/{tag}"), &[AUTH, "Content-Length: 2"]);
        client.send(format!("{head}{{}}"));
    };
    let (mut first, mut kept) = (Client::connect(&tidegate), Client::connect(&tidegate));
    assert_eq!(kept.exchange("HEAD /v2/team/app/manifests/v1", &[AUTH]).status, 404);
    push(&mut first, "v1");
    begun.recv_timeout(DEADLINE).expect("the push reaches the registry");
    tidegate.signal(Signal::USR2);
    let _heir = Heir::of(&manager);
    // A connection to each process.
    let mut new = Client::connect(&tidegate);
    for client in [&mut new, &mut kept] {
        push(client, "v1");
        let refused = client.response(false).unwrap();
        assert!(refused.text().contains("is being pushed at this moment"), "{refused:?}");
    }
    let mut other = Client::connect(&tidegate);
    push(&mut other, "v2");
    begun.recv_timeout(DEADLINE).expect("another tag is pushed");
    for _ in 0..2 {
        go.send(()).unwrap();
    }
    assert_eq!(first.response(false).unwrap().status, 201);
    assert_eq!(other.response(false).unwrap().status, 201);
}

#[test]
fn a_new_process_that_dies_takes_the_old_one_with_it() {
    let (registry, _send) = halves();
    let manager = Manager::new();
    let mut tidegate = Tidegate::start(manager.asks(Settings::for_upstream(&registry.url())));
    let _running = pull(&tidegate);
    tidegate.signal(Signal::USR2);
    let heir = Heir::of(&manager);
    heir.signal(Signal::KILL);
    // Its supervisor sees both ends, and starts another one.
    assert_eq!(tidegate.wait().code(), Some(70));
    let log = tidegate.log.to_end().join("\n");
    assert!(log.contains("the process that has taken over ended at once"), "{log}");
}

#[test]
fn sockets_of_systemd_pass_over() {
    let recorder = Recorder::start();
    let manager = Manager::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let settings = manager.asks(Settings::for_upstream(&recorder.url()).unset("server.listen"));
    let mut tidegate = Tidegate::start(settings.pass(vec![("https", listener.into())]));
    tidegate.signal(Signal::USR2);
    let first = Heir::of(&manager);
    assert_eq!(tidegate.wait().code(), Some(0));
    first.signal(Signal::USR2);
    let _second = Heir::of(&manager);
    first.wait();
    assert_eq!(tidegate.address, address);
    assert_eq!(ask(&tidegate), 200);
}

#[test]
fn the_first_process_of_a_container_cannot_be_replaced() {
    let Some(namespaces) = Namespaces::start("the first process of a container", "true") else { return };
    drop(namespaces);
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    let order = settings.path().join("order");
    assert!(std::process::Command::new("mkfifo").arg(&order).status().unwrap().success());
    let script = format!("(read signal <'{}'; kill -USR2 1) & exec \"$0\" \"$@\"", order.display());
    let runner = ["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", &script];
    let tidegate = Tidegate::start(settings.run_by(runner.map(str::to_owned).to_vec()));
    fs::write(&order, "now\n").unwrap();
    tidegate.log.wait_for("the refusal", |line| {
        line.contains("tidegate is the first process of a container, which ends with it; start a container")
    });
    assert_eq!(ask(&tidegate), 200);
}
