//! A server that fails is left out, examined, and taken back.

use std::sync::atomic::{AtomicBool, AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::harness::DEADLINE;
use crate::harness::fake::{Conversation, Fake, is_check, refusing};
use crate::harness::http1::{Client, head};
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";

/// A registry whose status can be changed, and which counts what it is asked.
struct Changing {
    fake: Fake,
    state: Arc<State>,
}

struct State {
    /// The answer to clients.
    status: AtomicU16,
    /// The answer to checks.
    check: AtomicU16,
    requests: AtomicUsize,
    checks: Mutex<Vec<Instant>>,
    /// What it was asked since the last `forget`: whether each was a check.
    asked: Mutex<Vec<bool>>,
}

impl Changing {
    fn start() -> Changing {
        let state = Arc::new(State {
            status: AtomicU16::new(200),
            check: AtomicU16::new(200),
            requests: AtomicUsize::new(0),
            checks: Mutex::default(),
            asked: Mutex::default(),
        });
        let shared = Arc::clone(&state);
        Changing { fake: Fake::start(move |conversation| shared.serve(conversation)), state }
    }

    fn requests(&self) -> usize {
        self.state.requests.load(Ordering::SeqCst)
    }

    fn answer(&self, status: u16) {
        self.state.status.store(status, Ordering::SeqCst);
        self.state.check.store(status, Ordering::SeqCst);
    }

    fn asked(&self) -> Vec<bool> {
        self.state.asked.lock().unwrap().clone()
    }
}

impl State {
    fn serve(&self, conversation: &mut Conversation) {
        while let Some(head) = conversation.read_head() {
            let is_check = is_check(&head);
            self.asked.lock().unwrap().push(is_check);
            let status = if is_check {
                self.checks.lock().unwrap().push(Instant::now());
                &self.check
            } else {
                self.requests.fetch_add(1, Ordering::SeqCst);
                &self.status
            };
            let status = status.load(Ordering::SeqCst);
            conversation
                .write(format!("HTTP/1.1 {status} Status\r\nContent-Length: 2\r\n\r\n{{}}").as_bytes());
        }
    }
}

fn behind(servers: &[String], every: &str) -> Tidegate {
    Tidegate::start(in_turn(servers, every))
}

/// Settings with one worker that asks the servers in turn.
fn in_turn(servers: &[String], every: &str) -> Settings {
    Settings::for_upstream(&servers[0])
        .set("upstream.servers", &format!("{servers:?}"))
        .set("upstream.shared_storage", "true")
        .set("upstream.balance", r#""round-robin""#)
        .set("upstream.health_every", every)
        .set("server.threads", "1")
}

fn get(client: &mut Client) -> u16 {
    client.exchange("GET /v2/a/tags/list", &[AUTH]).status
}

/// Asks until `wanted` holds.
fn ask_until(client: &mut Client, what: &str, wanted: impl Fn() -> bool) -> Duration {
    let start = Instant::now();
    while !wanted() {
        get(client);
        assert!(start.elapsed() < DEADLINE, "never: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    start.elapsed()
}

#[test]
fn three_refusals_in_a_row_leave_a_server_out_and_two_do_not() {
    for status in [502, 503, 504] {
        let (bad, good) = (Changing::start(), Changing::start());
        let tidegate = behind(&[bad.fake.url(), good.fake.url()], r#""0s""#);
        let mut client = Client::connect(&tidegate);
        // Only clients have trouble, and its checks stay bad.
        bad.answer(status);
        while bad.requests() < 2 {
            get(&mut client);
        }
        bad.answer(200);
        let before = bad.requests();
        for _ in 0..4 {
            get(&mut client);
        }
        assert!(bad.requests() > before, "{status}: two failures leave it out");
        bad.answer(status);
        let before = bad.requests();
        while bad.requests() < before + 3 {
            get(&mut client);
        }
        let before = (bad.requests(), good.requests());
        for _ in 0..10 {
            assert_eq!(get(&mut client), 200, "{status}");
        }
        assert_eq!((bad.requests(), good.requests()), (before.0, before.1 + 10), "{status}");
    }
}

#[test]
fn three_connections_that_end_without_an_answer_leave_a_server_out_and_two_do_not() {
    three_leave_it_out(502, |_| {});
}

#[test]
fn three_silences_in_a_row_leave_a_server_out_and_two_do_not() {
    three_leave_it_out(504, |conversation| conversation.wait_for_end());
}

/// Fails two requests, and later three, by `fault` instead of an answer, which is `status` to the
/// client.
fn three_leave_it_out(status: u16, fault: fn(&Conversation)) {
    let (asked, is_bad) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(true)));
    let (count, fails) = (Arc::clone(&asked), Arc::clone(&is_bad));
    let bad = Fake::start(move |conversation| {
        while let Some(head) = conversation.read_head() {
            count.fetch_add(usize::from(!is_check(&head)), Ordering::SeqCst);
            if fails.load(Ordering::SeqCst) {
                return fault(conversation);
            }
            conversation.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        }
    });
    let good = Changing::start();
    let settings = in_turn(&[bad.url(), good.fake.url()], r#""0s""#);
    let tidegate = Tidegate::start(settings.set("upstream.read_timeout", r#""1s""#));
    // Every second request goes to the bad one, and all wait at the same time.
    let fail = |times: usize| {
        is_bad.store(true, Ordering::SeqCst);
        let mut clients: Vec<_> = (0..2 * times).map(|_| Client::connect(&tidegate)).collect();
        for client in &mut clients {
            client.send(head("DELETE /v2/a/manifests/v1", &[AUTH]));
        }
        let statuses: Vec<_> =
            clients.iter_mut().map(|client| client.response(false).unwrap().status).collect();
        assert_eq!(statuses.iter().filter(|found| **found == status).count(), times, "{statuses:?}");
    };
    fail(2);
    is_bad.store(false, Ordering::SeqCst);
    let before = asked.load(Ordering::SeqCst);
    let mut client = Client::connect(&tidegate);
    for _ in 0..4 {
        assert_eq!(get(&mut client), 200);
    }
    assert!(asked.load(Ordering::SeqCst) > before, "two of them leave it out");
    // On connections that were kept too.
    fail(3);
    let before = asked.load(Ordering::SeqCst);
    for _ in 0..10 {
        assert_eq!(get(&mut client), 200);
    }
    assert_eq!(asked.load(Ordering::SeqCst), before);
}

#[test]
fn statuses_that_are_content_never_leave_a_server_out() {
    for status in [404, 429, 500] {
        let (odd, good) = (Changing::start(), Changing::start());
        odd.state.status.store(status, Ordering::SeqCst);
        let tidegate = behind(&[odd.fake.url(), good.fake.url()], r#""0s""#);
        let mut client = Client::connect(&tidegate);
        for _ in 0..20 {
            get(&mut client);
        }
        assert!((9..=11).contains(&odd.requests()), "{status}: {} of 20", odd.requests());
    }
}

/// Two servers, of which requests have just found one to be down.
fn one_goes_down() -> (Changing, Changing, Tidegate, Client) {
    let (bad, good) = (Changing::start(), Changing::start());
    let tidegate = behind(&[bad.fake.url(), good.fake.url()], r#""10s""#);
    let mut client = Client::connect(&tidegate);
    // Its first check passes, so that requests find out.
    ask_until(&mut client, "the first check", || !bad.state.checks.lock().unwrap().is_empty());
    let before = bad.requests();
    bad.answer(503);
    ask_until(&mut client, "three failures", || bad.requests() >= before + 3);
    (bad, good, tidegate, client)
}

#[test]
fn a_server_that_returns_is_checked_before_its_first_request() {
    let (bad, _good, _tidegate, mut client) = one_goes_down();
    bad.state.asked.lock().unwrap().clear();
    let before = bad.requests();
    for _ in 0..10 {
        assert_eq!(get(&mut client), 200);
    }
    assert_eq!(bad.requests(), before, "it gets nothing while it is down");
    bad.answer(200);
    ask_until(&mut client, "its return", || bad.requests() > before);
    let asked = bad.asked();
    let first = asked.iter().position(|is_check| !is_check).unwrap();
    assert!(first > 0 && asked[..first].iter().all(|is_check| *is_check), "{asked:?}");
}

#[test]
fn the_checks_of_a_server_that_stays_bad_become_rarer() {
    let (bad, _good, _tidegate, _client) = one_goes_down();
    let down = Instant::now();
    let since = |checks: &[Instant]| checks.iter().filter(|check| **check > down).count();
    let start = Instant::now();
    while since(&bad.state.checks.lock().unwrap()) < 4 {
        assert!(start.elapsed() < DEADLINE, "{:?}", bad.state.checks.lock().unwrap());
        std::thread::sleep(Duration::from_millis(50));
    }
    let checks = bad.state.checks.lock().unwrap();
    let times: Vec<_> = checks.iter().filter(|check| **check > down).collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| *pair[1] - *pair[0]).collect();
    assert!(gaps[2] > gaps[0], "{gaps:?}");
    assert!(gaps[0] >= Duration::from_millis(700), "{gaps:?}");
}

#[test]
fn all_servers_down_is_503_at_once_with_a_time_to_retry() {
    let tidegate = behind(&[refusing(), refusing()], r#""10s""#);
    let mut client = Client::connect(&tidegate);
    for method in ["GET", "POST"] {
        for _ in 0..3 {
            let start = Instant::now();
            let line = if method == "GET" { "GET /v2/a/tags/list" } else { "POST /v2/a/blobs/uploads/" };
            let response = client.exchange(line, &[AUTH, "Content-Length: 0"]);
            assert_eq!((response.status, response.error_code().as_str()), (503, "UNAVAILABLE"), "{method}");
            let seconds: u32 = response.all("Retry-After")[0].parse().unwrap();
            assert!((1..=5).contains(&seconds), "{method}: {seconds}");
            assert!(start.elapsed() < Duration::from_secs(4), "{method}: {:?}", start.elapsed());
        }
    }
}

#[test]
fn the_last_server_is_never_left_out() {
    let (one, other) = (Changing::start(), Changing::start());
    let tidegate = behind(&[one.fake.url(), other.fake.url()], r#""0s""#);
    let mut client = Client::connect(&tidegate);
    one.answer(503);
    other.answer(503);
    for _ in 0..12 {
        assert_eq!(get(&mut client), 503);
    }
    let before = one.requests() + other.requests();
    let response = client.exchange("GET /v2/a/tags/list", &[AUTH]);
    assert_eq!(one.requests() + other.requests(), before + 1, "{response:?}");
}
