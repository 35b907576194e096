//! Throttling of wrong passwords.

use super::*;

fn verifier_for(failures: usize) -> Verifier {
    let throttle = config::Throttle { failures, ..settings().throttle };
    Verifier::new(&config::Auth { throttle, hash_queue: 64, ..settings() }).unwrap()
}

fn is_throttled(verdict: Answer) -> bool {
    matches!(verdict, Answer::Throttled(left) if left <= Duration::from_mins(1))
}

#[tokio::test]
async fn after_so_many_wrong_passwords_no_more_are_computed() {
    let (verifier, users) = (verifier_for(3), users(&[("alice", "secret"), ("bob", "other")]));
    assert_eq!(verify(&verifier, &users, "bob", "other").await, Answer::Right);
    let before = verifier.computations();
    for user in ["alice", "nobody"] {
        for wrong in ["a", "b", "c"] {
            assert_eq!(verify(&verifier, &users, user, wrong).await, Answer::Wrong);
        }
        for number in 0..100 {
            assert!(is_throttled(verify(&verifier, &users, user, &number.to_string()).await), "{user}");
        }
        assert!(is_throttled(verify(&verifier, &users, user, "secret").await), "{user}");
    }
    assert_eq!(verifier.computations() - before, 6);
    assert_eq!(verify(&verifier, &users, "bob", "other").await, Answer::Right);
    assert_eq!(verify(&verifier, &users, "bob", "wrong").await, Answer::Wrong);
    assert_eq!(verify_from(&verifier, &users, 2, "alice", "secret").await, Answer::Right);
}

#[tokio::test]
async fn a_password_known_to_be_right_still_passes_and_one_known_to_be_wrong_is_still_wrong() {
    let (verifier, users) = (verifier_for(3), users(&[("alice", "secret")]));
    for _ in 0..10 {
        assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
    }
    for wrong in ["a", "b", "c"] {
        // containerd tries twice.
        assert_eq!(verify(&verifier, &users, "alice", wrong).await, Answer::Wrong);
        assert_eq!(verify(&verifier, &users, "alice", wrong).await, Answer::Wrong);
    }
    assert!(is_throttled(verify(&verifier, &users, "alice", "d").await));
    assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
    assert_eq!(verify(&verifier, &users, "alice", "c").await, Answer::Wrong);
}

#[tokio::test]
async fn one_wrong_password_at_once_many_times_counts_once() {
    let (verifier, users) = (verifier_for(2), users(&[("alice", "secret")]));
    let blocked = block(&verifier);
    let mut checks: Vec<_> = (0..50).map(|_| Box::pin(verify(&verifier, &users, "alice", "wrong"))).collect();
    for check in &mut checks {
        assert!(poll_once(check.as_mut()).is_pending());
    }
    drop(blocked);
    for check in checks {
        assert_eq!(check.await, Answer::Wrong);
    }
    assert_eq!(verify(&verifier, &users, "alice", "another").await, Answer::Wrong);
    assert!(is_throttled(verify(&verifier, &users, "alice", "a third").await));
}

#[tokio::test]
async fn of_many_wrong_passwords_at_once_only_so_many_are_computed() {
    let (verifier, users) = (verifier_for(5), users(&[("alice", "secret")]));
    let blocked = block(&verifier);
    let wrong: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    let mut checks: Vec<_> =
        wrong.iter().map(|wrong| Box::pin(verify(&verifier, &users, "alice", wrong))).collect();
    let waiting = checks.iter_mut().filter_map(|check| match poll_once(check.as_mut()) {
        Poll::Pending => Some(()),
        Poll::Ready(verdict) => {
            assert!(is_throttled(verdict), "{verdict:?}");
            None
        }
    });
    assert_eq!(waiting.count(), 5);
    drop(blocked);
    for check in checks.into_iter().take(5) {
        assert_eq!(check.await, Answer::Wrong);
    }
    assert_eq!(verifier.computations(), 5);
}

#[tokio::test]
async fn a_check_that_found_no_room_is_not_a_failed_login() {
    let settings = config::Auth { hash_queue: 1, ..settings() };
    let throttle = config::Throttle { failures: 2, ..settings.throttle };
    let verifier = Verifier::new(&config::Auth { throttle, ..settings }).unwrap();
    let users = users(&[("alice", "secret")]);
    let blocked = block(&verifier);
    let mut queued = pin!(verify(&verifier, &users, "somebody", "else"));
    assert!(poll_once(queued.as_mut()).is_pending());
    for _ in 0..10 {
        assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Busy);
    }
    drop(blocked);
    assert_eq!(queued.await, Answer::Wrong);
    assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
}

#[tokio::test]
async fn who_is_held_up_cannot_try_out_a_password_that_is_in_use_elsewhere() {
    let (verifier, users) = (verifier_for(2), users(&[("alice", "secret")]));
    assert_eq!(verify_from(&verifier, &users, 1, "alice", "secret").await, Answer::Right);
    for (host, wrong) in [(1, "a"), (1, "b"), (2, "c"), (2, "d")] {
        assert_eq!(verify_from(&verifier, &users, host, "alice", wrong).await, Answer::Wrong);
    }
    assert!(is_throttled(verify_from(&verifier, &users, 2, "alice", "secret").await));
    assert!(is_throttled(verify_from(&verifier, &users, 1, "alice", "another").await));
    assert_eq!(verify_from(&verifier, &users, 1, "alice", "secret").await, Answer::Right);
    assert_eq!(verify_from(&verifier, &users, 3, "alice", "secret").await, Answer::Right);
}

#[tokio::test]
async fn a_network_with_many_wrong_users_is_answered_late_and_its_right_passwords_at_once() {
    let (verifier, users) = (verifier_for(1), users(&[("alice", "secret")]));
    for number in 0..10 {
        assert_eq!(verify(&verifier, &users, &format!("invented{number}"), "wrong").await, Answer::Wrong);
    }
    for (number, seconds) in [6, 10, 10].into_iter().enumerate() {
        let name = format!("another{number}");
        let Answer::WrongAgain(delay) = verify(&verifier, &users, &name, "wrong").await else {
            panic!("not delayed");
        };
        assert!(delay <= Duration::from_secs(seconds), "{delay:?}");
    }
    assert_eq!(verify(&verifier, &users, "alice", "secret").await, Answer::Right);
    assert_eq!(verify_from(&verifier, &users, 2, "invented", "wrong").await, Answer::Wrong);
}
