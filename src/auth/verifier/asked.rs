//! A request for the check of a password.

use super::super::hash::Fingerprint;
use super::super::sources::Judge;
use crate::cache::Key;
use crate::network::Network;
use crate::secret::Secret;

/// One request for a check.
pub(super) struct Asked<'a> {
    pub(super) network: Network,
    pub(super) name: &'a [u8],
    pub(super) password: &'a Secret,
    pub(super) key: Key,
    pub(super) judge: Judge<'a>,
}

impl Asked<'_> {
    /// What the password is checked against: the stored hash, or the settings of a source.
    pub(super) fn against(&self) -> Option<Fingerprint> {
        match self.judge {
            Judge::File(users) => users.get(self.name).map(|(_, stored)| *stored.fingerprint()),
            Judge::Remote(remote) => Some(*remote.digest()),
        }
    }
}
