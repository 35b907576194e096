//! The answer to a password.

use std::time::Duration;

use tokio::time::Instant;

use super::super::person::Person;
use crate::metrics::LoginResult;

/// The answer to a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is the password of this user.
    Right {
        /// The user.
        person: Person,
        /// Whether it was computed, or comes from a network that has not sent it before. One
        /// request alone hears that.
        is_new: bool,
        /// How long this is remembered, if it is.
        until: Option<Instant>,
    },
    /// It is not the user's password, or there is no such user: the reason, for the log alone.
    Wrong(&'static str),
    /// The same, from a network with many wrong passwords: the answer has to wait for this time.
    WrongAgain(Duration, &'static str),
    /// Whoever judges it cannot be asked now.
    Unavailable,
    /// It could not be checked now; try again later.
    Busy,
    /// It was not checked, after too many wrong passwords; try again after this time.
    Throttled(Duration),
}

impl Verdict {
    /// What it counts as.
    pub(crate) fn result(&self) -> LoginResult {
        match self {
            Self::Right { .. } => LoginResult::Ok,
            Self::Wrong(_) | Self::WrongAgain(..) => LoginResult::Wrong,
            Self::Busy => LoginResult::Busy,
            Self::Unavailable => LoginResult::Unavailable,
            Self::Throttled(_) => LoginResult::Throttled,
        }
    }
}
