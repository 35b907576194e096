use super::*;

const SECOND: Duration = Duration::from_secs(1);
const SETTINGS: config::Throttle =
    config::Throttle { failures: 3, window: Duration::from_secs(60), delay: Duration::from_secs(20) };

fn network(address: &str) -> Network {
    Network::of(address.parse().unwrap())
}

/// Charges one failure of a user from one network. `Err` is the remaining delay.
fn fail(throttle: &Throttle, user: &str, now: Instant) -> Result<(), Duration> {
    throttle.charge(network("192.0.2.1"), Account::Password(user.as_bytes()), now).map(Charge::keep)
}

#[test]
fn the_delay_is_counted_from_the_failure_that_was_one_too_many() {
    let (throttle, start) = (Throttle::new(SETTINGS), Instant::now());
    for second in [0, 1, 2] {
        assert_eq!(fail(&throttle, "alice", start + SECOND * second), Ok(()));
    }
    for (second, left) in [(2, 20), (5, 17), (21, 1)] {
        assert_eq!(
            fail(&throttle, "alice", start + SECOND * second),
            Err(SECOND * left),
            "asking costs nothing"
        );
    }
    for second in [22, 23, 24] {
        assert_eq!(fail(&throttle, "alice", start + SECOND * second), Ok(()));
    }
    assert_eq!(fail(&throttle, "alice", start + SECOND * 25), Err(SECOND * 19));
}

/// Such a request had read the clock before others, and got the lock after them.
#[test]
fn a_request_that_is_overtaken_waits_no_longer_than_the_delay() {
    let throttle = Throttle::new(SETTINGS);
    let earlier = Instant::now();
    for _ in 0..3 {
        assert_eq!(fail(&throttle, "alice", earlier + SECOND), Ok(()));
    }
    assert_eq!(fail(&throttle, "alice", earlier), Err(SETTINGS.delay));
    let account = Account::Password(b"alice");
    assert_eq!(throttle.delay_left(network("192.0.2.1"), account, earlier), Some(SETTINGS.delay));
}

#[test]
fn a_window_begins_with_its_first_failure() {
    let (throttle, start) = (Throttle::new(SETTINGS), Instant::now());
    for second in [0, 59, 60, 118] {
        assert_eq!(fail(&throttle, "alice", start + SECOND * second), Ok(()), "{second}");
    }
    assert_eq!(fail(&throttle, "alice", start + SECOND * 119), Ok(()));
    assert_eq!(fail(&throttle, "alice", start + SECOND * 119), Err(SECOND * 20));
}

#[test]
fn only_this_user_from_this_network_has_to_wait() {
    let (throttle, now) = (Throttle::new(SETTINGS), Instant::now());
    let charge = |address: &str, user: &[u8]| {
        throttle.charge(network(address), Account::Password(user), now).map(Charge::keep)
    };
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3:4:5:6"] {
        assert_eq!(charge(address, b"alice"), Ok(()));
    }
    assert!(charge("2001:db8::9", b"alice").is_err());
    assert_eq!(charge("2001:db8:0:1::1", b"alice"), Ok(()));
    assert_eq!(charge("2001:db8::1", b"bob"), Ok(()));
}

#[test]
fn a_login_that_ended_keeps_nobody_from_logging_in_again() {
    let (throttle, now) = (Throttle::new(SETTINGS), Instant::now());
    let charge = |account| throttle.charge(network("192.0.2.1"), account, now).map(Charge::keep);
    for _ in 0..3 {
        assert_eq!(charge(Account::Login(b"alice")), Ok(()));
    }
    assert!(charge(Account::Login(b"alice")).is_err());
    assert_eq!(charge(Account::Password(b"alice")), Ok(()));
}

#[test]
fn what_was_no_failure_is_given_back() {
    let (throttle, now) = (Throttle::new(SETTINGS), Instant::now());
    let charge = || throttle.charge(network("192.0.2.1"), Account::Password(b"alice"), now);
    for _ in 0..10 {
        drop(charge());
    }
    assert!(throttle.tally().open.is_empty(), "who is right leaves nothing");
    let (first, second, third) = (charge().unwrap(), charge().unwrap(), charge().unwrap());
    assert!(charge().is_err(), "what is not decided counts");
    drop(second);
    charge().unwrap().keep();
    first.keep();
    third.keep();
    assert!(charge().is_err());
}

#[test]
fn what_is_given_back_late_is_not_taken_from_another_window() {
    let (throttle, start) = (Throttle::new(SETTINGS), Instant::now());
    let late = throttle.charge(network("192.0.2.1"), Account::Password(b"alice"), start).unwrap();
    for _ in 0..3 {
        assert_eq!(fail(&throttle, "alice", start + SECOND * 60), Ok(()));
    }
    drop(late);
    assert!(fail(&throttle, "alice", start + SECOND * 61).is_err());
}

#[test]
fn other_settings_count_at_once() {
    let (throttle, now) = (Throttle::new(SETTINGS), Instant::now());
    for _ in 0..3 {
        assert_eq!(fail(&throttle, "alice", now), Ok(()));
    }
    throttle.set(config::Throttle { delay: SECOND * 5, ..SETTINGS });
    assert_eq!(fail(&throttle, "alice", now), Err(SECOND * 5));
    throttle.set(config::Throttle { failures: 4, ..SETTINGS });
    assert_eq!(fail(&throttle, "alice", now), Ok(()));
    assert!(fail(&throttle, "alice", now).is_err());
    throttle.set(config::Throttle { failures: 0, ..SETTINGS });
    for _ in 0..100 {
        assert_eq!(fail(&throttle, "alice", now), Ok(()));
    }
}

#[test]
fn a_flood_of_names_is_bounded_and_lets_nobody_go_who_has_to_wait() {
    let (throttle, start) = (Throttle::new(SETTINGS), Instant::now());
    for _ in 0..3 {
        assert_eq!(fail(&throttle, "alice", start), Ok(()));
    }
    let flood = |from: usize, now: Instant| {
        for number in from..from + MOST {
            assert_eq!(fail(&throttle, &number.to_string(), now), Ok(()));
            assert!(throttle.tally().open.len() <= MOST);
        }
    };
    flood(0, start + SECOND);
    assert!(fail(&throttle, "alice", start + SECOND * 2).is_err());
    flood(MOST, start + SECOND * 100);
    assert_eq!(fail(&throttle, "alice", start + SECOND * 101), Ok(()));
}
