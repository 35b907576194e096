//! Every line is in the file, whatever becomes of the file.

use std::fs;
use std::sync::mpsc;
use std::thread;

use rustix::process::Signal;

use super::{audited, ended, lines, shortened};
use crate::harness::admin;
use crate::harness::http1::{self, Client, authorized};
use crate::harness::image::{put_manifest, tiny_manifest};
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};

const PUSHERS: usize = 4;
const PUSHES: usize = 250;
const ROTATIONS: usize = 20;

fn push(client: &mut Client, tag: &str) -> http1::Response {
    let (manifest, _) = tiny_manifest(b"{}", tag);
    put_manifest(client, &authorized(), "team/app", tag, &manifest)
}

#[test]
fn the_line_of_a_push_or_a_deletion_is_there_before_the_answer() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(audited(&recorder.url()));
    let file = tidegate.settings.path().join("audit.log");
    let mut client = Client::connect(&tidegate);
    for number in 0..20 {
        assert_eq!(push(&mut client, &format!("v{number}")).status, 200);
        let last = lines(&file).pop().unwrap();
        assert_eq!((&last["event"], &last["tag"]), (&"push".into(), &format!("v{number}").into()));
        assert_eq!(client.exchange("DELETE /v2/team/app/manifests/x", &[&authorized()]).status, 200);
        assert_eq!(lines(&file).pop().unwrap()["event"], "delete");
    }
}

#[test]
fn rotations_beside_pushes_lose_and_repeat_nothing() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(audited(&recorder.url()));
    let file = tidegate.settings.path().join("audit.log");
    let rotated = |number: usize| tidegate.settings.path().join(format!("audit.log.{number}"));
    let (told, pushed) = mpsc::channel();
    thread::scope(|scope| {
        for pusher in 0..PUSHERS {
            let (told, tidegate) = (told.clone(), &tidegate);
            scope.spawn(move || {
                let mut client = Client::connect(tidegate);
                for number in 0..PUSHES {
                    assert_eq!(push(&mut client, &format!("p{pusher}-{number}")).status, 200);
                    told.send(()).unwrap();
                }
            });
        }
        for number in 0..ROTATIONS {
            for _ in 0..PUSHERS * PUSHES / ROTATIONS / 2 {
                pushed.recv().unwrap();
            }
            fs::rename(&file, rotated(number)).unwrap();
            let start = tidegate.log.len();
            tidegate.signal(Signal::HUP);
            tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
        }
    });
    let settings = tidegate.settings.path().to_owned();
    let mut tidegate = tidegate;
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    let mut all = Vec::new();
    for number in 0..ROTATIONS {
        let part = lines(&settings.join(format!("audit.log.{number}")));
        assert!(!part.is_empty(), "rotation {number}");
        all.extend(part);
    }
    all.extend(lines(&file));
    for (line, number) in all.iter().zip(1..) {
        assert_eq!(line["seq"], number, "{line}");
    }
    let mut tags: Vec<String> = all
        .iter()
        .filter(|line| line["event"] == "push" && line["outcome"] == "success")
        .map(|line| line["tag"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(tags.len(), PUSHERS * PUSHES);
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), PUSHERS * PUSHES);
    assert_eq!(all.iter().filter(|line| line["event"] == "reload").count(), ROTATIONS);
}

#[test]
fn a_file_that_was_truncated_is_written_from_its_beginning() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(audited(&recorder.url()).set("log.audit_required", "true"));
    let file = tidegate.settings.path().join("audit.log");
    let mut client = Client::connect(&tidegate);
    push(&mut client, "before");
    fs::copy(&file, tidegate.settings.path().join("copy.log")).unwrap();
    fs::File::options().write(true).open(&file).unwrap().set_len(0).unwrap();
    push(&mut client, "after");
    let lines = lines(&file);
    assert_eq!(shortened(&lines), ["push success testuser team/app after 200"]);
}

/// tidegate and how long its audit log is after a push.
fn start_full(settings: Settings) -> (Tidegate, u64) {
    let tidegate = Tidegate::start(settings);
    assert_eq!(push(&mut Client::connect(&tidegate), "before").status, 200);
    let length = fs::metadata(tidegate.settings.path().join("audit.log")).unwrap().len();
    (tidegate, length)
}

#[test]
fn a_full_disk_stops_nothing_and_leaves_whole_lines_and_a_gap() {
    let recorder = Recorder::start();
    let settings = audited(&recorder.url()).set("server.admin", r#"["127.0.0.1:0"]"#);
    let (tidegate, length) = start_full(settings);
    // There is room for a part of a line.
    tidegate.limit_files(Some(length + 100));
    let mut client = Client::connect(&tidegate);
    for tag in ["lost", "lost-too"] {
        assert_eq!(push(&mut client, tag).status, 200);
    }
    let said = |line: &&String| line.contains("cannot write the audit log");
    tidegate.log.wait_for("the error", |line| line.contains("cannot write the audit log"));
    tidegate.limit_files(None);
    assert_eq!(push(&mut client, "after").status, 200);
    let line = tidegate.log.wait_for("the end", |line| line.contains("the audit log is written again"));
    assert!(line.contains("lines=1"), "one was reported before: {line}");
    assert_eq!(tidegate.log.so_far().iter().filter(said).count(), 1);
    let lines = lines(&tidegate.settings.path().join("audit.log"));
    let numbers: Vec<u64> = lines.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 6]);
    assert_eq!(lines[3]["tag"], "after");
    let metrics = admin::ask(&tidegate, "GET /metrics", &[]).body;
    assert!(metrics.contains("tidegate_log_lines_lost_total{log=\"audit\"} 2\n"), "{metrics}");
    assert_eq!(admin::ask(&tidegate, "GET /api/status", &[]).json()["lost_lines"]["audit"], 2);
}

#[test]
fn a_full_disk_stops_changes_if_lines_are_required() {
    let recorder = Recorder::start();
    let (tidegate, length) = start_full(audited(&recorder.url()).set("log.audit_required", "true"));
    for room in [0, 100, 5000] {
        tidegate.limit_files(Some(length + room));
        let user = authorized();
        for line in [
            "PUT /v2/team/app/manifests/v1",
            "DELETE /v2/team/app/manifests/v1",
            "POST /v2/team/app/blobs/uploads/",
            "PATCH /v2/team/app/blobs/uploads/u1",
            "PUT /v2/team/app/blobs/uploads/u1",
        ] {
            let answer = Client::connect(&tidegate).exchange(line, &[&user, "Content-Length: 0"]);
            assert_eq!((answer.status, answer.all("retry-after")), (503, vec!["2"]), "{line}");
            assert_eq!(answer.error_code(), "UNAVAILABLE", "{line}");
        }
        let mut client = Client::connect(&tidegate);
        for line in ["GET /v2/", "GET /v2/team/app/manifests/v1", "GET /v2/team/app/blobs/uploads/u1"] {
            assert_eq!(client.exchange(line, &[&user]).status, 200, "{line}");
        }
        let methods: Vec<String> =
            recorder.record().requests.iter().map(|seen| seen.head.method.clone()).collect();
        assert_eq!(
            methods.iter().filter(|method| *method != "GET").count(),
            1,
            "only the first push: {methods:?}"
        );
    }
    tidegate.limit_files(None);
    // The line of a refusal shows that the log can be written again.
    let mut client = Client::connect(&tidegate);
    let statuses: Vec<u16> = (0..2).map(|_| push(&mut client, "after").status).collect();
    assert_eq!(statuses[1], 200, "{statuses:?}");
}

#[test]
fn a_log_that_cannot_be_written_from_the_start_stops_changes_until_a_reload_turns_that_off() {
    let recorder = Recorder::start();
    let settings = audited(&recorder.url()).set("log.audit_required", "true");
    std::os::unix::fs::symlink("/dev/full", settings.path().join("audit.log")).unwrap();
    let tidegate = Tidegate::start(settings);
    let mut client = Client::connect(&tidegate);
    let refused = push(&mut client, "v1");
    assert_eq!((refused.status, refused.all("retry-after")), (503, vec!["2"]));
    assert!(refused.text().contains("audit log"), "{}", refused.text());
    let file = tidegate.settings.file();
    let text = fs::read_to_string(&file).unwrap().replace("audit_required = true", "audit_required = false");
    fs::write(&file, text).unwrap();
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
    assert_eq!(push(&mut Client::connect(&tidegate), "v1").status, 200);
}

#[test]
fn a_log_that_cannot_be_opened_stops_the_start() {
    let recorder = Recorder::start();
    let refusal = audited(&recorder.url()).set("log.audit", r#""missing/audit.log""#).refused();
    assert_eq!(refusal.code, 66, "{:?}", refusal.output);
    assert!(refusal.output.iter().any(|line| line.contains("log.audit names")), "{:?}", refusal.output);
    // A file that cannot be opened again: the old one stays in use.
    let mut tidegate = Tidegate::start(audited(&recorder.url()));
    let (file, moved) =
        (tidegate.settings.path().join("audit.log"), tidegate.settings.path().join("moved.log"));
    fs::rename(&file, &moved).unwrap();
    fs::create_dir(&file).unwrap();
    tidegate.signal(Signal::HUP);
    tidegate.log.wait_for("the warning", |line| line.contains("cannot reopen the audit log"));
    assert_eq!(push(&mut Client::connect(&tidegate), "v1").status, 200);
    fs::remove_dir(&file).unwrap();
    fs::rename(&moved, &file).unwrap();
    let lines = ended(&mut tidegate);
    assert!(shortened(&lines).contains(&"push success testuser team/app v1 200".to_owned()), "{lines:?}");
}
