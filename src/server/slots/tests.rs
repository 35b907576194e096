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

/// The slot of a connection of a trusted proxy.
fn of_proxy(slots: &Slots) -> Slot {
    match slots.enter("10.0.0.1".parse().unwrap(), true) {
        Entry::Slot(slot) => slot,
        entry => panic!("{entry:?}"),
    }
}

fn moved(slots: &Slots, address: &str) -> Option<Slot> {
    let mut slot = of_proxy(slots);
    slot.move_to(address.parse().unwrap()).then_some(slot)
}

/// The sizes of all networks that have a connection, in order.
fn crowds(slots: &Slots) -> Vec<usize> {
    let table = slots.0.lock();
    let sizes = table.crowds.values().map(|count| count.load(Ordering::Relaxed));
    let mut sizes: Vec<usize> = sizes.filter(|&size| size > 0).collect();
    sizes.sort_unstable();
    sizes
}

#[tokio::test]
async fn a_connection_through_a_proxy_counts_for_the_network_of_its_client() {
    let slots = Slots::new(10, 2);
    let _proxies: Vec<Slot> = (0..3).map(|_| of_proxy(&slots)).collect();
    let first = moved(&slots, "2001:db8::1").unwrap();
    let second = moved(&slots, "2001:db8::2").unwrap();
    assert_eq!((first.crowd(), second.crowd()), (2, 2));
    assert!(moved(&slots, "2001:db8::3").is_none());
    assert!(matches!(slots.enter("2001:db8::3".parse().unwrap(), false), Entry::Refused));
    let _other = moved(&slots, "2001:db8:0:1::1").unwrap();
    assert_eq!((slots.open().0, crowds(&slots)), (6, vec![1, 2]), "those who may not stay leave nothing");
    drop(first);
    let third = moved(&slots, "2001:db8::3").unwrap();
    assert!(moved(&slots, "2001:db8::4").is_none());
    drop((second, third));
    assert_eq!((slots.open().0, crowds(&slots)), (4, vec![1]));
}

#[test]
fn of_many_connections_at_once_no_more_stay_than_a_network_may_have() {
    let slots = Slots::new(1000, 7);
    let begin = std::sync::Barrier::new(8);
    let stayed: Vec<Slot> = std::thread::scope(|scope| {
        let work = || {
            let slots: Vec<Slot> = (0..20).map(|_| of_proxy(&slots)).collect();
            begin.wait();
            let stays = |mut slot: Slot| slot.move_to([192, 0, 2, 1].into()).then_some(slot);
            slots.into_iter().filter_map(stays).collect::<Vec<_>>()
        };
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((stayed.len(), slots.open().0, crowds(&slots)), (7, 7, vec![7]));
}

#[tokio::test]
async fn a_network_with_half_of_the_slots_gives_one_up_for_each_that_is_moved_to_it() {
    let slots = Slots::new(32, 0);
    let open: Vec<Slot> = (0..30).map(|_| moved(&slots, "192.0.2.1").unwrap()).collect();
    assert_eq!(asked(&open), [0; 0], "while slots are free, it may have more");
    let others = slot(&slots, "192.0.2.2");
    // The last slot.
    let mut newest = of_proxy(&slots);
    open[3..].iter().for_each(Slot::busy);
    let before = asked(&open);
    assert!(newest.move_to([192, 0, 2, 1].into()));
    assert_eq!(asked(&open).len(), before.len() + 1);
    newest.busy();
    open[..3].iter().for_each(Slot::busy);
    drop(others);
    assert!(moved(&slots, "192.0.2.1").is_none(), "all of its connections have requests");
    assert!(moved(&slots, "192.0.2.2").is_some(), "the reserve is for others");
}

#[tokio::test]
async fn a_connection_that_is_moved_keeps_its_place_and_is_still_asked_to_leave() {
    let slots = Slots::new(2, 0);
    let mut first = of_proxy(&slots);
    first.ask_to_leave();
    let mut second = of_proxy(&slots);
    assert!(first.move_to([192, 0, 2, 1].into()) && second.move_to([192, 0, 2, 2].into()));
    assert!(is_asked(&first) && !is_asked(&second));
    let _waiting = later(&slots, "192.0.2.3");
    assert!(!is_asked(&second), "one is leaving already");
    drop(first);
    second.ask_to_leave();
    assert!(is_asked(&second));
    second.busy();
    drop(second);
    let table = slots.0.lock();
    assert!(table.open.len() == 1 && table.leaving.is_empty());
}
