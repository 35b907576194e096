use std::task::{Context, Poll, Waker};

use super::*;

/// The slot that a connection gets at once.
fn slot(slots: &Slots, address: &str) -> Slot {
    match slots.enter(address.parse().unwrap(), false) {
        Entry::Slot(slot) => slot,
        entry => panic!("{entry:?}"),
    }
}

fn later(slots: &Slots, address: &str) -> oneshot::Receiver<Slot> {
    match slots.enter(address.parse().unwrap(), false) {
        Entry::Later(slot) => slot,
        entry => panic!("{entry:?}"),
    }
}

fn is_asked(slot: &Slot) -> bool {
    let asked = std::pin::pin!(slot.asked_to_leave());
    asked.poll(&mut Context::from_waker(Waker::noop())) == Poll::Ready(())
}

/// The numbers of those that were asked to leave.
fn asked(open: &[Slot]) -> Vec<usize> {
    open.iter().enumerate().filter(|(_, slot)| is_asked(slot)).map(|(number, _)| number).collect()
}

#[tokio::test]
async fn one_network_has_a_limited_number_of_slots() {
    let slots = Slots::new(10, 2);
    let first = slot(&slots, "2001:db8::1");
    let second = slot(&slots, "2001:db8::2");
    let refused = |address: &str| matches!(slots.enter(address.parse().unwrap(), false), Entry::Refused);
    assert!(refused("2001:db8::3"));
    let _other = slot(&slots, "2001:db8:0:1::3");
    let _loopback = slot(&slots, "127.0.0.1");
    assert!(!matches!(slots.enter("2001:db8::3".parse().unwrap(), true), Entry::Refused), "a trusted proxy");
    drop(first);
    let _third = slot(&slots, "2001:db8::3");
    assert!(refused("2001:db8::4"));
    drop(second);
    let _fourth = slot(&slots, "2001:db8::4");
}

#[tokio::test]
async fn those_that_wait_count_for_the_limit_of_their_network() {
    let slots = Slots::new(4, 2);
    let open: Vec<Slot> = (1..=4).map(|host| slot(&slots, &format!("192.0.2.{host}"))).collect();
    let mut waiting = vec![later(&slots, "192.0.2.9"), later(&slots, "192.0.2.9")];
    assert!(matches!(slots.enter("192.0.2.9".parse().unwrap(), false), Entry::Refused));
    drop(waiting.pop());
    waiting.push(later(&slots, "192.0.2.9"));
    drop(open);
    let admitted: Vec<Slot> = waiting.iter_mut().map(|slot| slot.try_recv().unwrap()).collect();
    assert_eq!(admitted[0].crowd(), 2);
}

#[tokio::test]
async fn a_connection_that_is_to_leave_but_has_a_request_makes_no_room() {
    let slots = Slots::new(4, 0);
    let open: Vec<Slot> = (0..4).map(|_| slot(&slots, "192.0.2.1")).collect();
    for leaving in &open[..2] {
        leaving.busy();
        leaving.ask_to_leave();
    }
    let _waiting = later(&slots, "192.0.2.2");
    assert_eq!(asked(&open), [0, 1, 2]);
    // A request has come in before the connection could leave.
    open[2].busy();
    open[0].idle();
    assert_eq!(asked(&open), [0, 1, 2], "the first one leaves now");
    open[0].busy();
    let _another = later(&slots, "192.0.2.3");
    assert_eq!(asked(&open), [0, 1, 2, 3]);
    drop(open);
    let table = slots.0.lock();
    assert!(table.open.len() == 2 && table.leaving.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_connection_that_is_idle_for_longest_leaves_for_a_new_one() {
    let slots = Slots::new(3, 0);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(slot(&slots, "192.0.2.1"));
        tokio::time::advance(std::time::Duration::from_millis(5)).await;
    }
    open[0].busy();
    let mut waiting = later(&slots, "192.0.2.2");
    assert_eq!(asked(&open), [1]);
    assert!(waiting.try_recv().is_err());
    drop(open.remove(1));
    waiting.try_recv().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_largest_network_leaves_first() {
    let slots = Slots::new(4, 0);
    let mut open = vec![slot(&slots, "192.0.2.1")];
    tokio::time::advance(std::time::Duration::from_millis(5)).await;
    open.extend((0..3).map(|_| slot(&slots, "192.0.2.2")));
    let _waiting = later(&slots, "192.0.2.3");
    assert_eq!(asked(&open), [1], "the oldest of the larger network");
}

#[tokio::test]
async fn a_network_with_half_of_the_slots_leaves_a_reserve_to_others() {
    let slots = Slots::new(32, 0);
    let open: Vec<Slot> = (0..30).map(|_| slot(&slots, "192.0.2.1")).collect();
    let mut waiting = later(&slots, "192.0.2.1");
    let other = later(&slots, "192.0.2.2").try_recv().unwrap();
    assert!(waiting.try_recv().is_err());
    assert!(!is_asked(&other) && !asked(&open).is_empty());
    drop(open);
    waiting.try_recv().unwrap();
}

#[tokio::test]
async fn a_network_with_half_of_the_slots_has_only_its_own_connections_leave() {
    let slots = Slots::new(4, 0);
    let crowd: Vec<Slot> = (0..2).map(|_| slot(&slots, "192.0.2.1")).collect();
    let others = [slot(&slots, "192.0.2.2"), slot(&slots, "192.0.2.3")];
    crowd.iter().for_each(Slot::busy);
    let _waiting = later(&slots, "192.0.2.1");
    assert_eq!(asked(&others), [0; 0]);
    crowd[1].idle();
    assert_eq!(asked(&crowd), [1]);
}

#[tokio::test]
async fn the_smallest_network_that_waits_comes_first() {
    let slots = Slots::new(2, 0);
    let open = [slot(&slots, "192.0.2.1"), slot(&slots, "192.0.2.1")];
    let mut first = later(&slots, "192.0.2.1");
    let mut second = later(&slots, "192.0.2.2");
    let [one, _two] = open;
    drop(one);
    let _slot = second.try_recv().unwrap();
    first.try_recv().unwrap_err();
}

#[tokio::test]
async fn trusted_proxies_have_no_share() {
    let slots = Slots::new(32, 0);
    let trusted = |number: usize| match slots.enter("192.0.2.1".parse().unwrap(), true) {
        Entry::Slot(slot) => slot,
        entry => panic!("{number}: {entry:?}"),
    };
    let open: Vec<Slot> = (0..32).map(trusted).collect();
    assert_eq!(open.len(), 32);
}

#[tokio::test]
async fn one_network_does_not_fill_the_queue() {
    let slots = Slots::new(1, 0);
    let open = slot(&slots, "192.0.2.1");
    open.busy();
    let waiting: Vec<_> = (0..WAITING / 2).map(|_| later(&slots, "192.0.2.1")).collect();
    assert!(matches!(slots.enter("192.0.2.1".parse().unwrap(), false), Entry::Refused));
    let _other = later(&slots, "192.0.2.2");
    drop(waiting);
    let _again = later(&slots, "192.0.2.1");
}

#[tokio::test]
async fn a_slot_of_a_client_that_no_longer_waits_goes_to_the_next() {
    let slots = Slots::new(1, 0);
    let open = slot(&slots, "192.0.2.1");
    let (gone, mut next) = (later(&slots, "192.0.2.2"), later(&slots, "192.0.2.3"));
    drop(gone);
    drop(open);
    drop(next.try_recv().unwrap());
    let _free = slot(&slots, "192.0.2.4");
}

#[tokio::test]
async fn no_connection_leaves_for_a_client_that_no_longer_waits() {
    let slots = Slots::new(1, 0);
    let open = slot(&slots, "192.0.2.1");
    open.busy();
    drop(later(&slots, "192.0.2.2"));
    open.idle();
    assert!(!is_asked(&open));
}
