//! A user and their current password.

use super::hash::Fingerprint;
use crate::user::User;

/// A user who has proven their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub user: User,
    /// Identifies the stored hash that the password was checked against, without revealing it. It
    /// changes with the password.
    pub fingerprint: Fingerprint,
}
