use tokio::time::advance;

use super::*;

const EVERY: Duration = Duration::from_secs(10);

fn fault(kind: FaultKind) -> UpstreamFault {
    UpstreamFault { brief: "down".to_owned(), detail: "down: start it".to_owned(), kind }
}

fn answer() -> UpstreamFault {
    fault(FaultKind::Answer)
}

#[tokio::test(start_paused = true)]
async fn one_failed_connect_is_enough_and_one_good_check_takes_back() {
    let health = Health::default();
    assert_eq!((health.is_down(), health.standing()), (false, None));
    assert!(health.unreachable(fault(FaultKind::Refused)));
    assert!(!health.unreachable(fault(FaultKind::Refused)), "it is down already");
    assert!(health.is_down());
    let standing = health.standing().unwrap();
    assert_eq!((standing.up, standing.fault), (false, Some(fault(FaultKind::Refused))));
    health.begin_check();
    assert!(health.checked(Ok(()), false));
    assert!(!health.is_down() && health.standing().unwrap().up);
}

#[tokio::test(start_paused = true)]
async fn three_failures_in_a_row_are_needed() {
    let health = Health::default();
    for _ in 0..5 {
        assert!(!health.failed(answer));
        assert!(!health.failed(answer));
        assert!(!health.answered(false));
    }
    assert!(!health.failed(answer));
    assert!(!health.failed(answer));
    assert!(health.failed(answer));
    assert!(!health.failed(answer), "it is down already");
    assert!(health.is_down());
}

#[tokio::test(start_paused = true)]
async fn an_answer_takes_back_only_if_its_request_was_sent_while_the_address_was_down() {
    let health = Health::default();
    health.unreachable(fault(FaultKind::Refused));
    assert!(!health.answered(false), "the request may be older than the failure");
    assert!(health.is_down());
    assert!(health.answered(true));
    assert!(!health.is_down());
}

#[tokio::test(start_paused = true)]
async fn the_pauses_between_checks_grow_to_half_a_minute() {
    let health = Health::default();
    health.begin_check();
    assert!(health.checked(Err(answer()), false), "the first failed check");
    let mut pauses = Vec::new();
    for _ in 0..8 {
        let due = health.next_check(EVERY, Instant::now()).unwrap();
        pauses.push(due - Instant::now());
        advance(due - Instant::now()).await;
        health.begin_check();
        assert_eq!(health.next_check(EVERY, Instant::now()), None, "one at a time");
        assert!(!health.checked(Err(answer()), false));
    }
    for (pause, most) in pauses.iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
        let most = Duration::from_secs(most);
        assert!(*pause <= most && *pause >= most.mul_f64(0.74), "{pauses:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_and_a_lone_address_are_checked_every_second() {
    for (kind, is_alone) in [(FaultKind::Refused, false), (FaultKind::Answer, true)] {
        let health = Health::default();
        health.unreachable(fault(kind));
        for _ in 0..5 {
            health.begin_check();
            health.checked(Err(fault(kind)), is_alone);
            assert_eq!(
                health.next_check(EVERY, Instant::now()).unwrap() - Instant::now(),
                Duration::from_secs(1)
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_that_is_up_is_checked_at_intervals_or_never() {
    let health = Health::default();
    assert_eq!(health.next_check(EVERY, Instant::now()), Some(Instant::now()), "at once");
    health.begin_check();
    advance(Duration::from_secs(1)).await;
    assert!(!health.checked(Ok(()), false));
    assert_eq!(health.next_check(EVERY, Instant::now()), Some(Instant::now() + Duration::from_secs(9)));
    assert_eq!(health.next_check(Duration::ZERO, Instant::now()), None);
}

#[tokio::test(start_paused = true)]
async fn only_an_address_that_says_nothing_is_hopeless_and_only_until_the_next_check() {
    let (silent, refused) = (Health::default(), Health::default());
    silent.unreachable(fault(FaultKind::Silent));
    refused.unreachable(fault(FaultKind::Refused));
    assert!(silent.is_hopeless(Instant::now()) && !refused.is_hopeless(Instant::now()));
    advance(Duration::from_secs(1)).await;
    assert!(!silent.is_hopeless(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn nothing_waits_for_a_silent_address_while_a_check_does() {
    let health = Health::default();
    health.unreachable(fault(FaultKind::Silent));
    advance(EVERY).await;
    assert!(!health.is_hopeless(Instant::now()), "a check is due");
    health.begin_check();
    advance(Duration::from_secs(3)).await;
    assert!(health.is_hopeless(Instant::now()));
    health.checked(Err(fault(FaultKind::Refused)), false);
    assert!(!health.is_hopeless(Instant::now()));
}

#[tokio::test(start_paused = true)]
async fn refused_checks_do_not_make_the_pause_after_another_failure_longer() {
    let health = Health::default();
    health.unreachable(fault(FaultKind::Refused));
    for _ in 0..20 {
        health.begin_check();
        health.checked(Err(fault(FaultKind::Refused)), false);
    }
    // It has just been started and is not ready yet.
    health.begin_check();
    health.checked(Err(answer()), false);
    let pause = health.next_check(EVERY, Instant::now()).unwrap() - Instant::now();
    assert!(pause <= Duration::from_secs(1), "{pause:?}");
}
