//! Logs that nobody reads or that cannot be written. Nobody who is served notices, and a stop does
//! not wait for them.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::Signal;

use crate::harness::http1::Client;
use crate::harness::http2;
use crate::harness::recorder::Recorder;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";
/// More than a stop takes while nobody reads: a second of quiet, and two seconds for each log.
const STOP: Duration = Duration::from_secs(20);

/// Every HTTP/2 request makes dozens of lines in the program's own log.
fn talkative(upstream: &str) -> Settings {
    Settings::for_upstream(upstream).set("log.level", r#""trace""#).set("log.access", r#""off""#)
}

/// Makes enough HTTP/2 requests to fill a pipe, a batch and the queue of the program's own log.
fn is_talked_about(tidegate: &Tidegate) {
    let mut client = http2::Client::connect(tidegate);
    for number in 0..600 {
        let answer = client.exchange(http2::request("GET", "localhost", "/v2/", &[AUTH]));
        assert_eq!(answer.status(), 200, "request {number}");
    }
}

/// Makes requests, each with about `1 KiB` of text for the access log.
fn serves(tidegate: &Tidegate, requests: u32) {
    let agent = format!("User-Agent: {}", "long ".repeat(200));
    let mut client = Client::connect(tidegate);
    for number in 0..requests {
        assert_eq!(client.exchange("GET /v2/", &[AUTH, &agent]).status, 200, "request {number}");
    }
}

fn stops(mut tidegate: Tidegate) {
    let start = Instant::now();
    tidegate.signal(Signal::TERM);
    assert_eq!(tidegate.wait().code(), Some(0));
    assert!(start.elapsed() < STOP, "{:?}", start.elapsed());
}

#[test]
fn a_log_that_nobody_reads_delays_neither_requests_nor_the_stop() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(talkative(&recorder.url()));
    tidegate.log.pause();
    is_talked_about(&tidegate);
    stops(tidegate);
}

#[test]
fn lines_that_a_log_had_no_room_for_are_counted_once_it_is_read_again() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(talkative(&recorder.url()));
    tidegate.log.pause();
    is_talked_about(&tidegate);
    tidegate.log.resume();
    let line = tidegate.log.wait_for("the count", |line| line.contains("own log could not keep up"));
    assert!(line.contains("lines="), "{line}");
    stops(tidegate);
}

#[test]
fn two_logs_in_one_pipe_have_whole_lines() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let one_pipe = ["sh", "-c", r#"exec "$0" "$@" >&2"#].map(str::to_owned).to_vec();
    let tidegate = Tidegate::start(Settings::for_upstream(&upstream).run_by(one_pipe));
    tidegate.log.pause();
    let agent = format!("User-Agent: {}", "long ".repeat(200));
    let mut client = Client::connect(&tidegate);
    // More than the pipe holds, and less than the queues.
    for _ in 0..500 {
        // A line in each log.
        assert_eq!(client.exchange("GET /v2/", &[AUTH, &agent]).status, 502);
    }
    tidegate.log.resume();
    let log = tidegate.log.clone();
    stops(tidegate);
    let (access, own): (Vec<_>, Vec<_>) =
        log.to_end().into_iter().partition(|line| line.starts_with(r#"{"time":"#));
    assert_eq!(access.len(), 500);
    for line in access {
        assert!(serde_json::from_str::<serde_json::Value>(&line).is_ok(), "{line}");
    }
    for line in own {
        assert!(line.starts_with("20") && !line.contains(r#"{"time""#), "{line}");
    }
}

#[test]
fn a_log_whose_reader_has_gone_ends_neither_a_worker_nor_the_process() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(talkative(&recorder.url()).set("server.threads", "2"));
    tidegate.log.close();
    for _ in 0..20 {
        serves(&tidegate, 1);
    }
    stops(tidegate);
}

#[test]
#[cfg(debug_assertions)]
fn a_panic_beside_a_log_that_nobody_reads_still_ends_the_process() {
    let recorder = Recorder::start();
    let settings = talkative(&recorder.url()).set("server.threads", "1");
    let trigger = settings.path().join("panic");
    let settings = settings.environment("TIDEGATE_TEST_PANIC", trigger.to_str().unwrap());
    let mut tidegate = Tidegate::start(settings);
    tidegate.log.pause();
    is_talked_about(&tidegate);
    fs::write(&trigger, "").unwrap();
    let start = Instant::now();
    let unlucky = std::net::TcpStream::connect(tidegate.address).unwrap();
    assert_eq!(tidegate.wait().code(), Some(70));
    assert!(start.elapsed() < STOP, "{:?}", start.elapsed());
    drop(unlucky);
}

#[test]
fn an_access_log_that_nobody_reads_delays_neither_requests_nor_the_stop() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    tidegate.access.pause();
    // A full pipe, a batch and a queue are 2.1 MiB.
    serves(&tidegate, 3000);
    tidegate.access.resume();
    let line = tidegate.log.wait_for("the count", |line| line.contains("access log could not keep up"));
    assert!(line.contains("lines="), "{line}");
    tidegate.access.pause();
    serves(&tidegate, 1000);
    stops(tidegate);
}

#[test]
fn an_access_log_whose_reader_has_gone_is_reported_once() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(Settings::for_upstream(&recorder.url()));
    tidegate.access.close();
    serves(&tidegate, 1);
    tidegate.access.to_end();
    serves(&tidegate, 20);
    let broken = |line: &str| line.contains("cannot write the access log");
    tidegate.log.wait_for("the warning", broken);
    serves(&tidegate, 20);
    let log = tidegate.log.clone();
    stops(tidegate);
    assert_eq!(log.to_end().iter().filter(|line| broken(line)).count(), 1);
}

#[test]
fn a_limit_on_the_size_of_files_does_not_end_the_process() {
    let recorder = Recorder::start();
    let settings = Settings::for_upstream(&recorder.url()).set("log.access", r#""access.log""#);
    let tidegate = Tidegate::start(settings);
    tidegate.forbid_files();
    serves(&tidegate, 2);
    tidegate.log.wait_for("the warning", |line| line.contains("cannot write the access log"));
    serves(&tidegate, 2);
    stops(tidegate);
}

fn with_fifo(upstream: &str) -> (Settings, PathBuf) {
    let settings = Settings::for_upstream(upstream).set("log.access", r#""fifo""#);
    let path = settings.path().join("fifo");
    mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    (settings, path)
}

#[test]
fn an_access_log_that_is_a_fifo_without_a_reader_delays_neither_start_nor_requests_nor_stop() {
    let recorder = Recorder::start();
    let tidegate = Tidegate::start(with_fifo(&recorder.url()).0);
    serves(&tidegate, 3000);
    tidegate.signal(Signal::HUP);
    tidegate.log.wait_for("the reload", |line| line.contains("reloaded"));
    serves(&tidegate, 10);
    stops(tidegate);
}

#[test]
fn a_reader_of_a_fifo_that_comes_late_gets_the_first_lines() {
    let recorder = Recorder::start();
    let (settings, path) = with_fifo(&recorder.url());
    let tidegate = Tidegate::start(settings);
    serves(&tidegate, 3);
    let reader = fs::File::open(path).unwrap();
    stops(tidegate);
    assert_eq!(std::io::read_to_string(reader).unwrap().lines().count(), 3);
}
