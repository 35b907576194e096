//! Right passwords that are remembered.

use super::super::hash::Fingerprint;
use super::super::person::Person;
use crate::network::Network;

/// How many networks are remembered for a right password. From these it is accepted during a delay.
const KNOWN_NETWORKS: usize = 64;

/// A right password.
pub(super) struct Known {
    /// What it was checked against.
    pub(super) stored: Fingerprint,
    pub(super) person: Person,
    /// The networks that have sent it, the latest last.
    networks: Vec<Network>,
    /// No request has heard yet that it is right.
    pub(super) is_new: bool,
}

impl Known {
    /// No request has heard of it yet.
    pub(super) fn new(stored: Fingerprint, person: Person, network: Network) -> Self {
        Self { stored, person, networks: vec![network], is_new: true }
    }

    /// Whether this network has sent it before.
    pub(super) fn is_from(&self, network: Network) -> bool {
        self.networks.contains(&network)
    }

    /// Adds a network that has not sent it before.
    pub(super) fn remember(&mut self, network: Network) {
        if self.networks.len() == KNOWN_NETWORKS {
            self.networks.remove(0);
        }
        self.networks.push(network);
    }
}
