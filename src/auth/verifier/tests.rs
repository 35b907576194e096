mod throttled;

use super::super::hash::StoredHash;
use super::super::htpasswd::Htpasswd;
use super::*;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};

fn settings() -> config::Auth {
    let text = "[tls]
certificate = 'a'
key = 'b'
[auth]
cache_size = 64
hash_threads = 1
hash_queue = 16
";
    config::Config::parse(Path::new("proxy.toml"), text, &[]).unwrap().auth
}

impl Verifier {
    /// The number of computed hashes. Cached answers are not included.
    fn computations(&self) -> usize {
        self.shared.computed.lock().unwrap().len()
    }

    fn work(&self) -> u64 {
        self.shared.computed.lock().unwrap().iter().sum()
    }
}

/// The verdict. A right password must also belong to the right person.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    Right,
    Wrong,
    WrongAgain(Duration),
    Busy,
    Throttled(Duration),
}

fn verifier() -> Verifier {
    Verifier::new(&settings()).unwrap()
}

fn users(entries: &[(&str, &str)]) -> Htpasswd {
    let line = |(user, password): &(&str, &str)| {
        format!("{user}:{}\n", StoredHash::make(password.as_bytes(), 4).unwrap())
    };
    Htpasswd::parse(entries.iter().map(line).collect::<String>().as_bytes(), false).unwrap()
}

async fn verify(verifier: &Verifier, users: &Htpasswd, user: &str, password: &str) -> Answer {
    verify_from(verifier, users, 1, user, password).await
}

/// Verifies a password from the host with this number.
async fn verify_from(verifier: &Verifier, users: &Htpasswd, host: u8, user: &str, password: &str) -> Answer {
    let from = IpAddr::from([192, 0, 2, host]);
    match verifier.verify(users, from, user.as_bytes(), &Secret::new(password.as_bytes())).await {
        Verdict::Right { person, .. } => {
            assert_eq!(Some(person), users.person(user.as_bytes()));
            Answer::Right
        }
        Verdict::Wrong(_) => Answer::Wrong,
        Verdict::WrongAgain(delay, _) => Answer::WrongAgain(delay),
        Verdict::Unavailable => panic!("nobody else was asked"),
        Verdict::Busy => Answer::Busy,
        Verdict::Throttled(left) => Answer::Throttled(left),
    }
}

fn network(host: u8) -> Network {
    Network::of([192, 0, 2, host].into())
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Keeps the only hashing thread busy until dropped.
struct Blocked(#[expect(dead_code, reason = "dropping it is what counts")] mpsc::Sender<()>);

fn block(verifier: &Verifier) -> Blocked {
    let (started, has_started) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let job = move || {
        started.send(()).unwrap();
        let _ = released.recv();
    };
    assert!(verifier.pool.submit(network(200), 0, Box::new(job)).is_ok());
    has_started.recv().unwrap();
    Blocked(release)
}

#[tokio::test]
async fn a_thousand_requests_cost_one_hash() {
    let (verifier, users) = (verifier(), users(&[("alice", "secret")]));
    for _ in 0..1000 {
        assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
    }
    assert_eq!(verifier.computations(), 1);
    assert_eq!(verifier.work(), 1 << 4);
}

#[test]
fn requests_at_once_on_several_runtimes_share_one_hash() {
    let (verifier, users) = (verifier(), users(&[("alice", "secret")]));
    let blocked = block(&verifier);
    let (waiting, are_waiting) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let (verifier, users, waiting) = (&verifier, &users, waiting.clone());
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    let mut check = pin!(verify(verifier, users, "alice", "secret"));
                    assert_eq!(poll_once(check.as_mut()), Poll::Pending);
                    waiting.send(()).unwrap();
                    assert_eq!(check.await, Answer::Right);
                });
            });
        }
        for _ in 0..8 {
            are_waiting.recv().unwrap();
        }
        drop(blocked);
    });
    assert_eq!(verifier.computations(), 1);
}

#[tokio::test]
async fn wrong_unknown_and_empty_are_wrong_and_cost_the_same() {
    let text = format!(
        "low:{}\nhigh:{}\nweak:{{SHA}}87u9ZqY9S/F0eUBXjsPQEDUw4h0=\n",
        StoredHash::make(b"a", 4).unwrap(),
        StoredHash::make(b"a", 6).unwrap()
    );
    let (verifier, users) = (verifier(), Htpasswd::parse(text.as_bytes(), true).unwrap());
    for (number, user) in (1usize..).zip(["low", "high", "weak", "nobody"]) {
        assert_eq!(verify(&verifier, &users, user, "b").await, Answer::Wrong);
        assert_eq!((verifier.computations(), verifier.work()), (number, 64 * number as u64), "{user}");
    }
    assert_eq!(verify(&verifier, &users, "low", "").await, Answer::Wrong);
    assert_eq!(verify(&verifier, &users, "", "").await, Answer::Wrong);
}

#[tokio::test]
async fn user_and_password_are_kept_apart() {
    let (verifier, users) = (verifier(), users(&[("ab", "c"), ("a", "x")]));
    assert_eq!(verify(&verifier, &users, "ab", "c").await, Answer::Right);
    assert_eq!(verify(&verifier, &users, "a", "bc").await, Answer::Wrong);
}

#[tokio::test]
async fn a_nul_is_wrong_without_a_hash() {
    let (verifier, users) = (verifier(), users(&[("alice", "abc")]));
    assert_eq!(verify(&verifier, &users, "alice", "abc\0abc").await, Answer::Wrong);
    assert_eq!(verifier.computations(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_wrong_password_sent_again_is_answered_from_memory_for_a_moment() {
    let (verifier, users) = (verifier(), users(&[("alice", "secret")]));
    for user in ["alice", "nobody"] {
        for _ in 0..10 {
            assert_eq!(verify(&verifier, &users, user, "wrong").await, Answer::Wrong);
        }
    }
    assert_eq!(verifier.computations(), 2);
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(verify(&verifier, &users, "alice", "wrong").await, Answer::Wrong);
    assert_eq!(verifier.computations(), 3);
}

#[tokio::test]
async fn a_flood_of_wrong_passwords_pushes_nobody_out() {
    let settings = config::Auth { cache_size: 2, ..settings() };
    let (verifier, users) = (Verifier::new(&settings).unwrap(), users(&[("alice", "secret")]));
    assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
    for number in 0..50 {
        let wrong = number.to_string();
        assert_eq!(verify_from(&verifier, &users, number, "alice", &wrong).await, Answer::Wrong);
    }
    let computed = verifier.computations();
    assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
    assert_eq!(verifier.computations(), computed);
}

#[tokio::test]
async fn a_changed_hash_or_a_removed_user_counts_at_once() {
    let verifier = verifier();
    let before = users(&[("alice", "old"), ("bob", "old")]);
    let after = users(&[("alice", "new")]);
    for user in ["alice", "bob"] {
        assert_eq!(verify(&verifier, &before, user, "old").await, Answer::Right);
        assert_eq!(verify(&verifier, &after, user, "old").await, Answer::Wrong, "{user}");
    }
    assert_eq!(verify(&verifier, &after, "alice", "new").await, Answer::Right);
}

#[tokio::test]
async fn a_password_that_was_wrong_becomes_right_at_once() {
    let verifier = verifier();
    for (before, after) in
        [(users(&[]), users(&[("alice", "new")])), (users(&[("alice", "old")]), users(&[("alice", "new")]))]
    {
        assert_eq!(verify(&verifier, &before, "alice", "new").await, Answer::Wrong);
        assert_eq!(verify(&verifier, &after, "alice", "new").await, Answer::Right);
    }
}

#[tokio::test]
async fn who_waits_takes_no_result_of_another_stored_hash() {
    let verifier = verifier();
    let (before, after) = (users(&[("alice", "old")]), users(&[("alice", "new")]));
    let blocked = block(&verifier);
    let mut first = pin!(verify(&verifier, &before, "alice", "old"));
    let mut second = pin!(verify(&verifier, &after, "alice", "old"));
    assert!(poll_once(first.as_mut()).is_pending());
    assert!(poll_once(second.as_mut()).is_pending());
    drop(blocked);
    assert_eq!(first.await, Answer::Right);
    assert_eq!(second.await, Answer::Wrong);
    assert_eq!(verifier.computations(), 2);
}

#[tokio::test]
async fn a_full_queue_is_busy_except_for_those_who_are_in() {
    let settings = config::Auth { hash_queue: 1, ..settings() };
    let verifier = Verifier::new(&settings).unwrap();
    let users = users(&[("alice", "a"), ("bob", "b"), ("carol", "c")]);
    assert_eq!(verify(&verifier, &users, "carol", "c").await, Answer::Right);
    let blocked = block(&verifier);
    let mut queued = pin!(verify(&verifier, &users, "alice", "a"));
    assert!(poll_once(queued.as_mut()).is_pending());
    let mut joined = pin!(verify(&verifier, &users, "alice", "a"));
    assert!(poll_once(joined.as_mut()).is_pending(), "joining takes no room");
    assert_eq!(verify(&verifier, &users, "bob", "b").await, Answer::Busy);
    assert_eq!(verify(&verifier, &users, "nobody", "b").await, Answer::Busy);
    assert_eq!(verify(&verifier, &users, "carol", "c").await, Answer::Right);
    drop(blocked);
    assert_eq!(queued.await, Answer::Right);
    assert_eq!(joined.await, Answer::Right);
    assert_eq!(verify(&verifier, &users, "bob", "b").await, Answer::Right);
}

#[tokio::test]
async fn a_client_that_leaves_takes_nothing_with_him() {
    let (verifier, users) = (verifier(), users(&[("alice", "secret")]));
    let blocked = block(&verifier);
    let mut leader = Box::pin(verify(&verifier, &users, "alice", "secret"));
    let mut gone = Box::pin(verify(&verifier, &users, "alice", "secret"));
    let mut stays = pin!(verify(&verifier, &users, "alice", "secret"));
    assert!(poll_once(leader.as_mut()).is_pending());
    assert!(poll_once(gone.as_mut()).is_pending());
    assert!(poll_once(stays.as_mut()).is_pending());
    drop(leader);
    drop(gone);
    drop(blocked);
    assert_eq!(stays.await, Answer::Right);
    assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
    assert_eq!(verifier.computations(), 1);
}

#[tokio::test]
async fn a_check_that_nobody_waits_for_any_more_frees_its_place_and_is_not_computed() {
    let settings = config::Auth { hash_queue: 2, ..settings() };
    let (verifier, users) = (Verifier::new(&settings).unwrap(), users(&[("alice", "secret")]));
    let blocked = block(&verifier);
    for round in 0..10 {
        let mut gone: Vec<_> = ["a", "b"]
            .iter()
            .map(|name| {
                let name = format!("{name}{round}");
                let (verifier, users) = (&verifier, &users);
                Box::pin(async move { verify(verifier, users, &name, "wrong").await })
            })
            .collect();
        for check in &mut gone {
            assert!(poll_once(check.as_mut()).is_pending(), "round {round}");
        }
    }
    assert!(verifier.shared.state().running.is_empty());
    let mut stays = pin!(verify(&verifier, &users, "alice", "secret"));
    assert!(poll_once(stays.as_mut()).is_pending());
    drop(blocked);
    assert_eq!(stays.await, Answer::Right);
    assert_eq!(verifier.computations(), 1);
}

#[test]
fn a_check_that_somebody_has_left_is_not_busy_for_the_next_one() {
    let (verifier, users) = (verifier(), users(&[]));
    let _blocked = block(&verifier);
    let come_and_go = || {
        for _ in 0..50_000 {
            let mut check = pin!(verify(&verifier, &users, "alice", "secret"));
            for _ in 0..2 {
                assert_eq!(poll_once(check.as_mut()), Poll::Pending);
            }
        }
    };
    std::thread::scope(|scope| _ = [scope.spawn(come_and_go), scope.spawn(come_and_go)]);
}

#[tokio::test]
async fn a_network_that_fills_the_queue_keeps_no_other_network_waiting() {
    let (verifier, users) = (verifier(), users(&[("alice", "secret")]));
    let blocked = block(&verifier);
    let names: Vec<String> = (0..17).map(|number| format!("invented{number}")).collect();
    let mut flood: Vec<_> =
        names.iter().map(|name| Box::pin(verify_from(&verifier, &users, 1, name, "wrong"))).collect();
    for check in &mut flood[..16] {
        assert!(poll_once(check.as_mut()).is_pending());
    }
    assert_eq!(poll_once(flood[16].as_mut()), Poll::Ready(Answer::Busy));
    let mut new = pin!(verify_from(&verifier, &users, 2, "alice", "secret"));
    assert!(poll_once(new.as_mut()).is_pending(), "the network with the most waiting makes room");
    assert_eq!(poll_once(flood[15].as_mut()), Poll::Ready(Answer::Busy));
    assert!(poll_once(flood[14].as_mut()).is_pending());
    drop(blocked);
    assert_eq!(new.await, Answer::Right);
}

#[tokio::test]
async fn a_flood_from_many_networks_keeps_no_new_network_waiting() {
    let (verifier, users) = (verifier(), users(&[("alice", "secret")]));
    for host in 1..=16 {
        let name = format!("invented{host}");
        assert_eq!(verify_from(&verifier, &users, host, &name, "wrong").await, Answer::Wrong);
    }
    let blocked = block(&verifier);
    let names: Vec<(u8, String)> = (1..=16).map(|host| (host, format!("another{host}"))).collect();
    let flood = names.iter().map(|(host, name)| verify_from(&verifier, &users, *host, name, "wrong"));
    let mut flood: Vec<_> = flood.map(Box::pin).collect();
    for check in &mut flood {
        assert!(poll_once(check.as_mut()).is_pending());
    }
    let mut new = pin!(verify_from(&verifier, &users, 100, "alice", "secret"));
    assert!(poll_once(new.as_mut()).is_pending(), "those who failed make room");
    drop(blocked);
    assert_eq!(new.await, Answer::Right);
    assert!(verifier.computations() < 16 + 8, "{}", verifier.computations());
}

#[tokio::test]
async fn a_check_that_panics_is_busy_and_can_be_tried_again() {
    let (verifier, users) = (verifier(), users(&[("alice", "secret")]));
    let key = verifier.key(b"alice", &Secret::new(*b"secret"));
    let against = users.person(b"alice").map(|person| person.binding);
    let (network, outcome) = (network(1), watch::Sender::new(None));
    let completion = Completion {
        shared: Arc::clone(&verifier.shared),
        key,
        network,
        against,
        is_remote: false,
        judgement: None,
        charge: None,
        outcome: outcome.clone(),
    };
    let blocked = block(&verifier);
    let job = move || {
        let _completion = completion;
        panic!("on purpose");
    };
    let ticket = Some(verifier.pool.submit(network, 0, Box::new(job)).ok().unwrap().ticket);
    verifier.shared.state().running.insert(key, Running { network, against, ticket, waiting: 0, outcome });
    let mut waiting = pin!(verify(&verifier, &users, "alice", "secret"));
    assert!(poll_once(waiting.as_mut()).is_pending());
    drop(blocked);
    assert_eq!(waiting.await, Answer::Busy);
    assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
}

#[tokio::test]
async fn without_a_cache_every_request_is_a_hash() {
    let settings = config::Auth { cache_ttl: Duration::ZERO, ..settings() };
    let (verifier, users) = (Verifier::new(&settings).unwrap(), users(&[("alice", "secret")]));
    for _ in 0..5 {
        assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
    }
    assert_eq!(verifier.computations(), 5);
}

#[tokio::test]
async fn one_request_hears_that_a_password_is_new_to_a_network() {
    let (verifier, users) = (verifier(), users(&[("alice", "secret")]));
    let password = Secret::new(*b"secret");
    let is_new = async |host: u8| {
        let from = IpAddr::from([192, 0, 2, host]);
        matches!(
            verifier.verify(&users, from, b"alice", &password).await,
            Verdict::Right { is_new: true, .. }
        )
    };
    // The first leaves before the password is known to be right.
    let mut first = Box::pin(is_new(1));
    assert!(poll_once(first.as_mut()).is_pending());
    let (second, third) = tokio::join!(is_new(1), is_new(1));
    drop(first);
    assert_eq!([second, third].iter().filter(|is_new| **is_new).count(), 1);
    assert!(!is_new(1).await);
    assert!(is_new(2).await);
    assert!(!is_new(2).await);
    assert!(!is_new(1).await);
}

#[tokio::test]
async fn users_and_passwords_are_bytes() {
    let text = [b"j\xf6rg:", StoredHash::make(b"p\xe4ss:w\xf6rd", 4).unwrap().as_bytes()].concat();
    let (verifier, users) = (verifier(), Htpasswd::parse(&text, false).unwrap());
    let from = IpAddr::from([192, 0, 2, 1]);
    let person = users.person(b"j\xf6rg").unwrap();
    let password = Secret::new(*b"p\xe4ss:w\xf6rd");
    let right = Verdict::Right { person, is_new: true, until: None };
    assert_eq!(verifier.verify(&users, from, b"j\xf6rg", &password).await, right);
}

#[test]
fn the_future_can_be_spawned_anywhere() {
    fn is_send<T: Send>(_: T) {}
    let (verifier, users) = (verifier(), users(&[]));
    is_send(verify(&verifier, &users, "alice", "secret"));
}
