//! What refusals tell people: what failed, for whom, and what to do.
//!
//! No message equals the text that distribution gives its code. Go's client drops such a message
//! and reports the bare code instead, and docker then repeats a wrong password for a minute.

use super::context::RequestContext;
use crate::access::Identity;
use crate::registry::rights::Rights;
use crate::registry::scope::{Resource, Scope};

/// Characters of a user's name in a message.
const LONGEST_NAME: usize = 64;

impl RequestContext<'_> {
    /// The message for a client without credentials, or with some that do not count: the `reason`,
    /// and what to do.
    pub(super) fn log_in(&self, reason: &str) -> String {
        format!("{reason}; log in: docker login {}", self.authority.as_str())
    }

    /// The message for a wrong password. It is the same for a user that does not exist.
    pub(super) fn wrong_password_of(&self, user: &[u8]) -> String {
        let whose = printable(user).map_or(String::new(), |user| format!(" for {user}"));
        self.log_in(&format!("wrong user or password{whose}"))
    }

    /// The message for an identity that lacks `missing`. It says what the identity may do instead,
    /// because a push begins with requests that need the right to pull.
    pub(super) fn denial(&self, identity: &Identity, missing: &Scope) -> String {
        let who = identity.user().map(|user| printable(user.as_bytes()).unwrap_or("this user"));
        let what = match &missing.resource {
            Resource::Repository(name) => {
                sentence(who, self.state.rules.rights(identity, name), missing.rights, name)
            }
            Resource::Catalog => format!("{} may not list the repositories", who.unwrap_or(STRANGER)),
        };
        match who {
            Some(_) => format!("{what}; ask the administrator of {} for the right", self.authority.as_str()),
            None => self.log_in(&what),
        }
    }
}

/// What a message calls a client without a login.
const STRANGER: &str = "a client without a login";

fn sentence(who: Option<&str>, has: Rights, missing: Rights, name: &str) -> String {
    let who = who.unwrap_or(STRANGER);
    let is_push = missing.contains(Rights::PUSH);
    if (has & Rights::ALL).is_empty() {
        format!("{who} has no rights in {name}")
    } else if missing == Rights::DELETE {
        format!("{who} may not delete from {name}")
    } else if is_push && has.contains(Rights::PULL) {
        format!("{who} may pull from {name} but may not push to it")
    } else if is_push {
        format!("{who} may not push to {name}")
    } else if has.contains(Rights::PUSH) {
        format!("{who} may not pull from {name}, which a push to it needs too")
    } else {
        format!("{who} may not pull from {name}")
    }
}

/// A user's name, if a terminal shows it as it is.
fn printable(user: &[u8]) -> Option<&str> {
    let name = str::from_utf8(user).ok()?;
    let plain = |char: char| char.is_alphanumeric() || "._-@+:".contains(char);
    (!name.is_empty() && name.chars().count() <= LONGEST_NAME && name.chars().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_denial_says_what_is_allowed_instead() {
        let pulls = Rights::PULL;
        let pushes = Rights::PULL | Rights::PUSH;
        for (has, missing, expected) in [
            (Rights::NONE, pulls, "alice has no rights in a/b"),
            (Rights::NONE, pushes, "alice has no rights in a/b"),
            (Rights::NONE, Rights::DELETE, "alice has no rights in a/b"),
            (pulls, Rights::PUSH, "alice may pull from a/b but may not push to it"),
            (pulls, Rights::DELETE, "alice may not delete from a/b"),
            (Rights::PUSH, pulls, "alice may not pull from a/b, which a push to it needs too"),
            (Rights::DELETE, pushes, "alice may not push to a/b"),
            (Rights::DELETE, pulls, "alice may not pull from a/b"),
        ] {
            assert_eq!(sentence(Some("alice"), has, missing, "a/b"), expected);
        }
        assert_eq!(
            sentence(None, Rights::NONE, pulls, "a/b"),
            "a client without a login has no rights in a/b"
        );
    }

    #[test]
    fn only_a_name_that_a_terminal_shows_as_it_is_stands_in_a_message() {
        for name in ["alice", "ci-1@example.com", "m\u{fc}ller", "ldap:bob"] {
            assert_eq!(printable(name.as_bytes()), Some(name));
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        for name in [&b""[..], b"a b", b"\x1b[31m", b"a\r\nb", b"\xff", b"a\"b", long.as_bytes()] {
            assert_eq!(printable(name), None, "{name:?}");
        }
    }
}
