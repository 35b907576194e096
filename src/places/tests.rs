use std::task::{Context, Poll, Waker};

use super::*;

fn network(host: u8) -> Network {
    Network::of([192, 0, 2, host].into())
}

/// Takes places for a network until there are no more for it.
fn take_all(places: &Rc<Places>, host: u8) -> Vec<Place> {
    std::iter::from_fn(|| places.take(network(host))).collect()
}

fn poll(waiting: &mut Waiting) -> Poll<Option<Place>> {
    std::pin::pin!(waiting.place()).poll(&mut Context::from_waker(Waker::noop()))
}

fn has_left(places: &Rc<Places>) -> bool {
    let table = places.0.borrow();
    table.shares.taken.is_empty() && table.waiting.len() == 0
}

#[test]
fn one_network_gets_half_of_the_places_and_the_next_ones_find_some() {
    let places = Places::new(1024);
    let crowds: Vec<Vec<Place>> = (0..9).map(|host| take_all(&places, host)).collect();
    let sizes: Vec<usize> = crowds.iter().map(Vec::len).collect();
    assert_eq!(sizes, [512, 256, 128, 64, 32, 16, 8, 4, 2]);
    let newcomer = places.take(network(9));
    assert!(newcomer.is_some());
    drop((crowds, newcomer));
    assert!(has_left(&places));
    assert_eq!(places.0.borrow().shares.free, 1024);
}

#[test]
fn networks_that_go_on_asking_come_to_equal_shares() {
    let places = Places::new(170);
    let mut first = take_all(&places, 1);
    let mut second = take_all(&places, 2);
    while let Some(place) = first.pop() {
        drop(place);
        second.extend(take_all(&places, 2));
        match places.take(network(1)) {
            Some(place) => first.push(place),
            None if second.len() >= first.len() => break,
            None => {}
        }
    }
    assert!(first.len().abs_diff(second.len()) <= 1, "{} {}", first.len(), second.len());
}

#[test]
fn the_networks_of_one_customer_share() {
    let of = |address: &str| Network::of(address.parse().unwrap());
    let places = Places::new(4);
    let _held: Vec<_> = std::iter::from_fn(|| places.take(of("2001:db8:0:1::1"))).collect();
    assert!(places.take(of("2001:db8:0:2::1")).is_none());
    assert!(places.take(of("2001:db8:1:2::1")).is_some());
}

#[test]
fn a_free_place_goes_to_the_network_that_may_have_it() {
    let places = Places::new(4);
    let mut crowd = take_all(&places, 1);
    let mut more = places.queue(network(1)).unwrap();
    let _others = [places.take(network(2)).unwrap(), places.take(network(3)).unwrap()];
    let mut another = places.queue(network(4)).unwrap();
    assert!(poll(&mut more).is_pending() && poll(&mut another).is_pending());
    assert_eq!(another.count(), 2);
    assert!(another.has_no_more_than(network(1)) && !more.has_no_more_than(network(2)));
    crowd.pop();
    assert!(poll(&mut more).is_pending());
    assert!(matches!(poll(&mut another), Poll::Ready(Some(_))));
}

#[test]
fn a_request_that_left_the_queue_gets_no_place() {
    let places = Places::new(1);
    let held = places.take(network(1)).unwrap();
    let first = places.queue(network(1)).unwrap();
    let mut second = places.queue(network(1)).unwrap();
    drop(first);
    drop(held);
    let place = poll(&mut second);
    assert!(matches!(place, Poll::Ready(Some(_))));
    drop((second, place));
    assert!(has_left(&places));
    assert!(places.take(network(1)).is_some());
}

#[test]
fn in_a_full_queue_the_network_with_the_most_waiting_makes_room() {
    let places = Places::new(1);
    let held = places.take(network(1)).unwrap();
    let mut crowd: Vec<Waiting> = (0..WAITING).map(|_| places.queue(network(1)).unwrap()).collect();
    assert!(places.queue(network(1)).is_none());
    let mut other = places.queue(network(2)).unwrap();
    assert!(matches!(poll(crowd.last_mut().unwrap()), Poll::Ready(None)));
    drop(held);
    assert!(matches!(poll(&mut crowd[0]), Poll::Ready(Some(_))));
    assert!(matches!(poll(&mut other), Poll::Ready(Some(_))));
}
