use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::pki::pem;

const NOON: u64 = 1_801_396_800_000;

fn parsed(text: &str) -> Revoked {
    Revoked::parse(text.as_bytes()).unwrap()
}

fn at(milliseconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(milliseconds)
}

#[test]
fn what_was_given_up_to_that_time_is_ended_and_what_came_later_is_not() {
    let revoked = parsed(
        "# why\n\nalice 2027-01-31T12:00:00.000Z\r\nBob B 2027-01-31T12:00:00.001Z\nalice 2026-01-01T00:00:00Z\n",
    );
    assert!(revoked.ends("alice", NOON) && revoked.ends("alice", 0) && !revoked.ends("alice", NOON + 1));
    assert!(revoked.ends("Bob B", NOON + 1) && !revoked.ends("Bob B", NOON + 2));
    assert!(!revoked.ends("bob", 0) && !revoked.ends("", 0));
    let everybody = parsed("* 2027-01-31T13:00:00+01:00");
    assert!(everybody.ends("anybody", NOON) && !everybody.ends("anybody", NOON + 1));
}

#[test]
fn a_line_that_cannot_be_read_is_named() {
    let bad = Revoked::parse(b"alice 2027-01-31T12:00:00Z\nalice\nbob yesterday\n\xff 2027-01-31T12:00:00Z");
    let lines: Vec<usize> = bad.unwrap_err().into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [2, 3, 4]);
}

#[test]
fn revoking_replaces_what_it_says_more_than() {
    let bob = ["bob".to_owned()];
    let text = "# kept\nalice 2026-01-01T00:00:00Z\nbob 2026-01-01T00:00:00Z";
    let text = revoke(text, &bob, at(NOON));
    assert_eq!(text, "# kept\nalice 2026-01-01T00:00:00Z\nbob 2027-01-31T12:00:00.000Z\n");
    assert_eq!(revoke(&text, &[], at(NOON + 5)), "# kept\n* 2027-01-31T12:00:00.005Z\n");
}

#[test]
fn a_key_with_a_record_is_the_same_key() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token.key");
    let pem = rcgen::KeyPair::generate().unwrap().serialize_pem();
    for text in [pem.trim_end(), pem.as_str()] {
        std::fs::write(&path, text).unwrap();
        assert!(!RECORD.is_in(&path).unwrap());
        assert!(RECORD.append_to(&path).unwrap() && RECORD.is_in(&path).unwrap());
        let whole = std::fs::read(&path).unwrap();
        let keys = [pem.as_bytes(), &whole].map(|text| pem::private_key(text).unwrap());
        assert_eq!(keys[0], keys[1]);
        assert!(!RECORD.append_to(&path).unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), whole);
    }
    assert!(RECORD.append_to(&folder.path().join("missing")).is_err());
    assert!(RECORD.line.starts_with(RECORD.start));
}

proptest! {
    #[test]
    fn what_was_written_is_read(users in prop::collection::vec("[a-z*][a-z ]{0,5}[a-z]", 0..4), now in 0..4_000_000_000_000u64) {
        let revoked = parsed(&revoke("", &users, at(now)));
        for user in users.iter().map(String::as_str).chain(users.is_empty().then_some("anybody")) {
            prop_assert!(revoked.ends(user, now) && !revoked.ends(user, now + 1));
        }
    }

    #[test]
    fn never_panics(text in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = Revoked::parse(&text);
    }
}
