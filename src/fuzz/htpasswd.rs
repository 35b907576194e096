//! An htpasswd file, and the commands that edit it.
//!
//! A file that was read gives the same users again when each is written once more. Setting and
//! removing a user leaves the others as they are.

use crate::auth::Htpasswd;
use crate::auth::edit::{remove_user, set_user};

/// A hash of cost 4 that no password is known for.
const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuQ8hcMTNcGPnnpqDFkKTmVqRhOYzn5Nu";

/// Checks one input.
pub(super) fn htpasswd(bytes: &[u8]) {
    let legacy = bytes.first().is_some_and(|first| first % 2 == 0);
    let lines = bytes.split(|byte| *byte == b'\n').count();
    let users = match Htpasswd::parse(bytes, legacy) {
        Ok(users) => users,
        Err(bad) => {
            assert!(!bad.is_empty() && bad.iter().all(|bad| (1..=lines).contains(&bad.line)));
            assert!(bad.iter().all(|bad| !bad.message.contains(char::is_control)), "{bad:?}");
            return;
        }
    };
    let names: Vec<Vec<u8>> = users.users().iter().map(|(user, _)| user.as_bytes().to_vec()).collect();
    for name in &names {
        let without = remove_user(bytes, name).expect("the user is there");
        let left = Htpasswd::parse(&without, legacy).expect("the rest is as it was");
        assert!(left.person(name).is_none() && left.users().len() + 1 == names.len());
        for other in names.iter().filter(|other| *other != name) {
            assert_eq!(left.person(other), users.person(other));
        }
    }
    let (with, replaced) = set_user(bytes, b"alice", HASH);
    assert_eq!(replaced, users.person(b"alice").is_some());
    let with = Htpasswd::parse(&with, legacy).expect("a line was added or replaced");
    assert_eq!(with.users().len(), names.len() + usize::from(!replaced));
    assert!(with.person(b"alice").is_some());
    for other in names.iter().filter(|name| name.as_slice() != b"alice") {
        assert_eq!(with.person(other), users.person(other));
    }
}
