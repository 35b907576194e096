use proptest::prelude::*;

use super::*;

fn shared(secret: u8) -> Arc<TicketKeys> {
    TicketKeys::random().made_of(Some(Secret::new([secret; 32])))
}

fn opens(keys: &TicketKeys, now: u64, ticket: &[u8]) -> bool {
    match keys.open(now, ticket) {
        Some(plain) => {
            assert_eq!(plain, b"session");
            true
        }
        None => false,
    }
}

#[test]
fn a_ticket_opens_in_its_period_and_the_next_and_never_again() {
    for keys in [TicketKeys::random(), shared(1)] {
        let ticket = keys.seal(10, b"session").unwrap();
        assert_ne!(ticket, keys.seal(10, b"session").unwrap());
        assert!(opens(&keys, 10, &ticket) && opens(&keys, 11, &ticket));
        assert!(!opens(&keys, 12, &ticket));
    }
}

#[test]
fn a_random_key_is_forgotten_and_no_more_than_two_are_known() {
    let keys = TicketKeys::random();
    let ticket = keys.seal(10, b"session").unwrap();
    for now in 11..20 {
        keys.seal(now, b"session").unwrap();
        assert!(keys.known.lock().unwrap().keys.len() <= 2);
    }
    assert!(!opens(&keys, 10, &ticket), "even when the clock is set back");
}

#[test]
fn who_has_the_secret_opens_tickets_of_others_also_of_one_whose_clock_is_ahead() {
    let (one, other) = (shared(1), shared(1));
    let ticket = one.seal(10, b"session").unwrap();
    for (now, expected) in [(8, false), (9, true), (10, true), (11, true), (12, false)] {
        assert_eq!(opens(&other, now, &ticket), expected, "{now}");
    }
    assert!(!opens(&shared(2), 10, &ticket));
    assert!(!opens(&TicketKeys::random(), 10, &ticket));
}

#[test]
fn the_same_secret_keeps_the_keys_and_another_replaces_them() {
    let random = TicketKeys::random();
    assert!(Arc::ptr_eq(&random, &random.made_of(None)));
    let shared = shared(1);
    assert!(Arc::ptr_eq(&shared, &shared.made_of(Some(Secret::new([1; 32])))));
    assert!(!Arc::ptr_eq(&shared, &shared.made_of(Some(Secret::new([2; 32])))));
    assert!(!Arc::ptr_eq(&shared, &shared.made_of(None)));
}

#[test]
fn what_is_too_long_becomes_no_ticket() {
    let keys = TicketKeys::random();
    let overhead = PERIOD_LEN + NONCE_LEN + AES_256_GCM.tag_len();
    let longest = keys.seal(10, &vec![0; LONGEST - overhead]).unwrap();
    assert_eq!(longest.len(), LONGEST);
    assert!(keys.open(10, &longest).is_some());
    assert_eq!(keys.seal(10, &vec![0; LONGEST - overhead + 1]), None);
    assert_eq!(keys.open(10, &[longest, vec![0]].concat()), None);
}

#[test]
fn after_a_step_back_of_one_period_only_shared_keys_open_the_ticket() {
    for (keys, expected) in [(TicketKeys::random(), false), (shared(1), true)] {
        let ticket = keys.seal(10, b"session").unwrap();
        assert_eq!(opens(&keys, 9, &ticket), expected);
        let earlier = keys.seal(9, b"session").unwrap();
        assert!(opens(&keys, 9, &earlier) && opens(&keys, 10, &earlier));
        assert!(!opens(&keys, 11, &earlier));
    }
}

proptest! {
    #[test]
    fn nothing_but_a_whole_ticket_opens(
        bytes in prop::collection::vec(any::<u8>(), 0..200),
        now in prop_oneof![Just(0), Just(u64::MAX), any::<u64>()],
        own_period in any::<bool>(),
    ) {
        let ticket = if own_period { [&now.to_be_bytes()[..], &bytes].concat() } else { bytes };
        prop_assert_eq!(shared(1).open(now, &ticket), None);
        prop_assert_eq!(TicketKeys::random().open(now, &ticket), None);
    }

    #[test]
    fn a_changed_or_shortened_ticket_does_not_open(at in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let keys = shared(1);
        let mut ticket = keys.seal(10, b"session").unwrap();
        let at = at.index(ticket.len());
        prop_assert_eq!(keys.open(10, &ticket[..at]), None);
        ticket[at] ^= change;
        prop_assert_eq!(keys.open(10, &ticket), None);
    }
}
