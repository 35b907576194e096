//! A user and the password they have at the moment.

use super::hash::Fingerprint;
use crate::user::User;

/// A user of whom a password is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub user: User,
    /// What tells the stored hash of this user from any other, without giving it away: a changed
    /// password has another one.
    pub fingerprint: Fingerprint,
}
