//! A login that somebody outside of tidegate judges: a directory, or a service of the operator.

use std::time::Duration;

use super::person::Person;
use super::throttle::Throttle;
use crate::network::Network;
use crate::secret::Secret;

/// A user and a password to be judged. The password is neither empty nor holds a NUL.
pub(crate) struct Attempt {
    pub(crate) network: Network,
    /// As the client has sent it.
    pub(crate) name: Vec<u8>,
    pub(crate) password: Secret,
    /// Counts wrong passwords. The attempt is charged to the name as it was sent; whoever learns
    /// that the user has another spelling charges that too.
    pub(crate) throttle: Throttle,
}

/// What a source says to an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Right(Person),
    /// The password is not accepted: the reason, for the log alone.
    Wrong(&'static str),
    /// There were too many wrong passwords of this person; the source was not asked. The time until
    /// it is.
    Throttled(Duration),
    /// Too many logins wait for the source.
    Busy,
    /// The source cannot be asked, or its answer says nothing about the password.
    Unavailable,
}
