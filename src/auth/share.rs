//! How logins that wait are shared out among the networks that they come from.

use crate::network::Network;

/// Networks that count for at most four, however many they are. The group of a queue
/// ([`crate::turns::Turns`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Share {
    /// Those of one site, without failures.
    Site(Network),
    /// Those with about as many failures: the binary logarithm of the number. All the addresses of
    /// a flood together have four turns while somebody who comes for the first time has one.
    Failing(u32),
}

impl Share {
    /// That of a network which had so many `failures` lately.
    pub(super) fn of(network: Network, failures: usize) -> Self {
        failures.checked_ilog2().map_or(Self::Site(network.site()), Self::Failing)
    }
}
