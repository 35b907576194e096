//! Reloads while transfers run, and shutdown.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify;
use rustix::process::Signal;

use crate::harness::authority::Authority;
use crate::harness::fake::Fake;
use crate::harness::http1::{self, Client, authorized};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate, htpasswd};
use crate::harness::tls::Tls;
use crate::harness::{DEADLINE, basic, http2};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
const UPLOAD: &str = "/v2/a/blobs/uploads/0f4b8f8e-1f0a-4c5e-9d55-8f6c2f0a1b2c";
const BLOB: &str = "/v2/a/blobs/sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const PIECE: usize = 1 << 20;
const PIECES: usize = 6;

/// A registry with one blob and one upload. It sends a piece of the blob whenever the test says so,
/// and reports each piece of the upload that arrives. Other requests are answered 200.
struct Paced {
    fake: Fake,
    send: Sender<()>,
    received: Receiver<usize>,
}

impl Paced {
    fn start() -> Paced {
        let (send, gate) = channel();
        let (report, received) = channel();
        let (gate, report) = (Mutex::new(gate), Mutex::new(report));
        let fake = Fake::start(move |conversation| {
            while let Some(head) = conversation.read_head() {
                let going_on = if head[0].starts_with("GET /v2/a/blobs/sha256") {
                    conversation.write(
                        format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", PIECE * PIECES).as_bytes(),
                    );
                    let gate = gate.lock().unwrap();
                    (0..PIECES).all(|_| gate.recv().is_ok() && conversation.write(&[7; PIECE]))
                } else {
                    if head[0].starts_with("PATCH") {
                        let mut received = 0;
                        while received < PIECE * PIECES {
                            let Some(bytes) = conversation.read_some() else { return };
                            received += bytes.len();
                            let _ = report.lock().unwrap().send(received);
                        }
                    }
                    conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                };
                if !going_on {
                    return;
                }
            }
        });
        Paced { fake, send, received }
    }

    /// Waits until `pieces` of the upload have arrived.
    fn wait_for(&self, pieces: usize) {
        while self.received.recv_timeout(DEADLINE).expect("the upload goes on") < pieces * PIECE {}
    }
}

/// A pull and a push that advance piece by piece.
struct Transfers<'a> {
    registry: &'a Paced,
    pull: Client,
    push: Client,
    done: usize,
}

impl<'a> Transfers<'a> {
    fn begin(tidegate: &Tidegate, registry: &'a Paced) -> Transfers<'a> {
        let (mut pull, mut push) = (Client::connect(tidegate), Client::connect(tidegate));
        pull.send(http1::head(&format!("GET {BLOB}"), &[AUTH]));
        push.send(http1::head(
            &format!("PATCH {UPLOAD}"),
            &[AUTH, &format!("Content-Length: {}", PIECE * PIECES)],
        ));
        let mut transfers = Transfers { registry, pull, push, done: 0 };
        assert_eq!(transfers.pull.head_only().unwrap().0, 200);
        transfers.step();
        transfers
    }

    /// Transfers one more piece in both directions.
    fn step(&mut self) {
        self.done += 1;
        self.registry.send.send(()).unwrap();
        let (piece, whole) = self.pull.exactly(PIECE);
        assert!(whole && piece.iter().all(|byte| *byte == 7), "the pull breaks off in piece {}", self.done);
        self.push.send([9; PIECE]);
        self.registry.wait_for(self.done);
    }

    fn finish(mut self) {
        while self.done < PIECES {
            self.step();
        }
        assert_eq!(self.push.response(false).unwrap().status, 200);
    }
}

/// Makes a change, then waits for the reload's log line with `word`.
fn reload(tidegate: &Tidegate, word: &str, change: impl FnOnce()) -> String {
    let start = tidegate.log.len();
    change();
    tidegate.log.wait_after(start, word, |line| line.contains(word))
}

fn shown_to_newcomers(tidegate: &Tidegate) -> String {
    let config = tidegate.settings.authority.client(&["http/1.1"]);
    Tls::connect_with(tidegate.address, config).unwrap().peer_name()
}

#[test]
fn a_pull_and_a_push_outlive_every_reload_and_the_end_of_the_process() {
    let registry = Paced::start();
    let mut tidegate = Tidegate::start(Settings::for_upstream(&registry.fake.url()));
    let mut transfers = Transfers::begin(&tidegate, &registry);
    assert_eq!(shown_to_newcomers(&tidegate), "first");

    reload(&tidegate, "reloaded", || {
        tidegate.settings.authority.issue("second").write(tidegate.settings.path(), "server");
        tidegate.signal(Signal::HUP);
    });
    assert_eq!(shown_to_newcomers(&tidegate), "second");
    transfers.step();

    reload(&tidegate, "reloaded", || {
        tidegate.settings.write_users(&[("other", "secret")]);
        tidegate.signal(Signal::HUP);
    });
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status, 401);
    let other = format!("Authorization: {}", basic("other", "secret"));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[&other]).status, 200);
    transfers.step();

    let start = tidegate.log.len();
    reload(&tidegate, "not reloaded", || {
        fs::write(tidegate.settings.file(), "[server]\nlisten = 5\n").unwrap();
        tidegate.signal(Signal::HUP);
    });
    tidegate.log.wait_after(start, "the mistake", |line| line.contains("proxy.toml:2:"));
    assert_eq!(shown_to_newcomers(&tidegate), "second");
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[&other]).status, 200);
    transfers.step();

    reload(&tidegate, "draining", || tidegate.signal(Signal::TERM));
    transfers.step();
    assert!(tidegate.is_running(), "it waits for the transfers");
    // A client in the middle of a push sends the next request, maybe over a new connection.
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[&other]).status, 200);
    transfers.finish();
    assert_eq!(tidegate.wait().code(), Some(0));
}

#[test]
fn http2_transfers_outlive_the_end_of_the_process_too() {
    let registry = Paced::start();
    let mut tidegate = Tidegate::start(Settings::for_upstream(&registry.fake.url()));
    let mut client = http2::Client::connect(&tidegate);
    let (pull, _) = client.send(http2::request("GET", "localhost", BLOB, &[AUTH]), true);
    let (push, mut upload) = client.send(http2::request("PATCH", "localhost", UPLOAD, &[AUTH]), false);
    client.data(&mut upload, &[9; PIECE], false).unwrap();
    registry.wait_for(1);

    reload(&tidegate, "draining", || tidegate.signal(Signal::TERM));
    for _ in 0..PIECES {
        registry.send.send(()).unwrap();
    }
    let pull = client.answer(pull).unwrap();
    assert!(pull.end.is_ok());
    assert_eq!((pull.status(), pull.body.len()), (200, PIECE * PIECES));
    client.data(&mut upload, &[9; PIECE * (PIECES - 1)], true).unwrap();
    assert_eq!(client.answer(push).unwrap().status(), 200);
    assert_eq!(tidegate.wait().code(), Some(0));
}

#[test]
fn with_nothing_running_the_process_ends_at_once() {
    let recorder = Recorder::start();
    let mut tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    // An idle connection does not delay the end.
    let mut idle = Client::connect(&tidegate);
    assert_eq!(idle.exchange("GET /v2/", &[AUTH]).status, 200);
    let start = std::time::Instant::now();
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert!(start.elapsed().as_secs() < 20, "far below the drain timeout");
    assert!(idle.ends());
}

#[test]
fn a_transfer_that_does_not_end_is_cut_at_the_drain_timeout() {
    let registry = Paced::start();
    let settings = Settings::for_upstream(&registry.fake.url()).set("server.drain_timeout", r#""1s""#);
    let mut tidegate = Tidegate::start(settings);
    let transfers = Transfers::begin(&tidegate, &registry);
    tidegate.signal(Signal::TERM);
    tidegate.wait();
    drop(transfers);
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let registry = Paced::start();
    let mut tidegate = Tidegate::start(Settings::for_upstream(&registry.fake.url()));
    let transfers = Transfers::begin(&tidegate, &registry);
    reload(&tidegate, "draining", || tidegate.signal(Signal::TERM));
    tidegate.signal(Signal::INT);
    tidegate.wait();
    drop(transfers);
}

#[test]
fn an_edited_htpasswd_takes_effect_at_the_next_request() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    settings.write_users(&[("testuser", "testpass"), ("leaver", "secret")]);
    let tidegate = Tidegate::start(settings);
    let leaver = format!("Authorization: {}", basic("leaver", "secret"));
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[&leaver]).status, 200);
    assert_eq!(client.exchange("GET /v2/", &[&leaver]).status, 200);

    tidegate.settings.write_users(&[("testuser", "testpass"), ("newcomer", "fresh")]);
    assert_eq!(client.exchange("GET /v2/", &[&leaver]).status, 401, "a removed user is refused");
    let newcomer = format!("Authorization: {}", basic("newcomer", "fresh"));
    assert_eq!(client.exchange("GET /v2/", &[&newcomer]).status, 200);

    tidegate.settings.write_users(&[("testuser", "changed"), ("newcomer", "fresh")]);
    assert_eq!(client.exchange("GET /v2/", &[&authorized()]).status, 401, "the old password is refused");
    let changed = format!("Authorization: {}", basic("testuser", "changed"));
    assert_eq!(client.exchange("GET /v2/", &[&changed]).status, 200);
}

#[test]
fn a_broken_htpasswd_is_reported_with_its_line_and_the_old_one_stays_in_use() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let mut client = Client::connect(&tidegate);
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    let line = reload(&tidegate, "htpasswd:2", || {
        let file = tidegate.settings.path().join("htpasswd");
        fs::write(file, format!("{}broken\n", htpasswd(&[("testuser", "changed")], 4))).unwrap();
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
    });
    assert!(!line.contains("broken"), "a line may hold a password: {line}");
    assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
}

/// The htpasswd file with an invalid line at its end.
fn break_htpasswd(tidegate: &Tidegate, users: &[(&str, &str)]) {
    fs::write(tidegate.settings.path().join("htpasswd"), format!("{}broken\n", htpasswd(users, 4))).unwrap();
}

#[test]
fn a_certificate_renewed_while_the_htpasswd_is_broken_is_loaded_after_its_repair() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let user = ("testuser", "testpass");
    let start = tidegate.log.len();
    reload(&tidegate, "not reloaded", || {
        break_htpasswd(&tidegate, &[user]);
        tidegate.settings.authority.issue("second").write(tidegate.settings.path(), "server");
    });
    tidegate.log.wait_after(start, "the bad line", |line| line.contains("htpasswd:2"));
    // The invalid line has moved. The message with its new number shows that the third certificate
    // was in place when the reload failed again.
    reload(&tidegate, "htpasswd:3", || {
        tidegate.settings.authority.issue("third").write(tidegate.settings.path(), "server");
        break_htpasswd(&tidegate, &[user, ("other", "secret")]);
    });
    assert_eq!(shown_to_newcomers(&tidegate), "first");
    reload(&tidegate, "reloaded cause", || tidegate.settings.write_users(&[user]));
    assert_eq!(shown_to_newcomers(&tidegate), "third");
}

/// Reports when any process opens a file.
struct Opened(OwnedFd);

impl Opened {
    fn watch(file: &Path) -> Opened {
        let watch = inotify::init(inotify::CreateFlags::CLOEXEC).unwrap();
        inotify::add_watch(&watch, file, inotify::WatchFlags::OPEN).unwrap();
        Opened(watch)
    }

    /// Waits until the file was opened once more. The kernel merges equal events that were not read
    /// yet.
    fn wait(&self) {
        let deadline = Timespec { tv_sec: DEADLINE.as_secs() as i64, tv_nsec: 0 };
        let ready = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&deadline)).unwrap();
        assert_eq!(ready, 1, "the file is not opened again");
        let mut buffer = [MaybeUninit::uninit(); 512];
        inotify::Reader::new(&self.0, &mut buffer).next().unwrap();
    }
}

#[test]
fn a_certificate_that_appears_after_its_settings_is_loaded_and_its_absence_reported_once() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    let folder = tidegate.settings.path();
    let start = tidegate.log.len();
    reload(&tidegate, "not reloaded", || {
        let text = tidegate.settings.toml().replace("server.crt", "later/server.crt");
        let text = text.replace("server.key", "later/server.key");
        fs::write(folder.join("next.toml"), text).unwrap();
        fs::rename(folder.join("next.toml"), tidegate.settings.file()).unwrap();
    });
    let opened = Opened::watch(&tidegate.settings.file());
    // Two more attempts: when the second begins, the first has ended.
    opened.wait();
    opened.wait();
    assert_eq!(shown_to_newcomers(&tidegate), "first");
    fs::create_dir(folder.join("made")).unwrap();
    tidegate.settings.authority.issue("later").write(&folder.join("made"), "server");
    reload(&tidegate, "reloaded cause", || {
        fs::rename(folder.join("made"), folder.join("later")).unwrap();
    });
    assert_eq!(shown_to_newcomers(&tidegate), "later");
    let lines = tidegate.log.so_far();
    let count = |word: &str| lines[start..].iter().filter(|line| line.contains(word)).count();
    assert_eq!((count("not reloaded"), count("later/server.crt")), (1, 1), "{lines:#?}");
}

/// A volume as Kubernetes lays it out: the files are symlinks through `..data`, which is swapped
/// atomically.
struct Volume<'a> {
    folder: &'a Path,
}

impl Volume<'_> {
    fn publish(&self, version: &str, authority: &Authority) {
        let data = self.folder.join(format!("..{version}"));
        fs::create_dir_all(&data).unwrap();
        authority.issue(version).write(&data, "tls");
        let next = self.folder.join("..data_tmp");
        symlink(format!("..{version}"), &next).unwrap();
        fs::rename(&next, self.folder.join("..data")).unwrap();
    }
}

#[test]
fn a_swapped_kubernetes_volume_is_loaded_without_a_signal() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url())
        .set("tls.certificate", r#""volume/tls.crt""#)
        .set("tls.key", r#""volume/tls.key""#);
    let folder = settings.path().join("volume");
    fs::create_dir(&folder).unwrap();
    let volume = Volume { folder: &folder };
    volume.publish("2026_01", &settings.authority);
    for file in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{file}"), folder.join(file)).unwrap();
    }
    let tidegate = Tidegate::start(settings);
    assert_eq!(shown_to_newcomers(&tidegate), "2026_01");
    reload(&tidegate, "reloaded", || volume.publish("2026_02", &tidegate.settings.authority));
    assert_eq!(shown_to_newcomers(&tidegate), "2026_02");
}

#[test]
fn changed_settings_are_loaded_without_a_signal() {
    let (old, new) = (Recorder::start(), Recorder::start());
    let tidegate = Tidegate::start(Settings::for_upstream(&old.url()));
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status, 200);
    reload(&tidegate, "reloaded", || {
        let text = tidegate.settings.toml().replace(&old.url(), &new.url());
        fs::write(tidegate.settings.file(), text).unwrap();
    });
    assert_eq!(Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]).status, 200);
    assert_eq!((old.record().requests.len(), new.record().requests.len()), (1, 1));
}

#[test]
fn old_and_new_connections_are_served_during_a_slow_reload() {
    /// Each mismatched pair is read again for a tenth of a second.
    const PAIRS: usize = 20;
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url());
    let name = |number: usize| format!("pair{number}");
    for number in 0..PAIRS {
        let identity = settings.authority.issue_for(&name(number), &[&format!("{number}.test")]);
        identity.write(settings.path(), &name(number));
    }
    let files = |name: &str| format!(r#"{{ certificate = "{name}.crt", key = "{name}.key" }}"#);
    let pairs: Vec<String> = (0..PAIRS).map(|number| files(&name(number))).collect();
    let pairs = format!("[{}, {}]", files("server"), pairs.join(", "));
    let settings = settings.unset("tls.certificate").unset("tls.key").set("tls.certificates", &pairs);
    let tidegate = Tidegate::start(settings);
    let (mut old, mut multiplexed) = (Client::connect(&tidegate), http2::Client::connect(&tidegate));
    for number in 0..PAIRS {
        let key = tidegate.settings.path().join(format!("{}.key", name(number)));
        fs::copy(tidegate.settings.path().join("server.key"), key).unwrap();
    }
    tidegate.signal(Signal::HUP);
    let mut served = 0;
    while !tidegate.log.so_far().iter().any(|line| line.contains("not reloaded")) {
        let served_now = Client::connect(&tidegate).exchange("GET /v2/", &[AUTH]);
        assert_eq!(served_now.status, 200);
        assert_eq!(old.exchange("GET /v2/", &[AUTH]).status, 200);
        let request = http2::request("GET", "localhost", "/v2/", &[AUTH]);
        assert_eq!(multiplexed.exchange(request).status(), 200);
        served += 1;
    }
    assert!(served >= 5, "only {served} connections were served during the reload");
}
