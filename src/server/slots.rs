//! How many client connections may be open: in all, and from one network.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::network::Network;

/// The slots that all listeners share.
#[derive(Clone)]
pub(crate) struct Slots {
    pub(super) connections: ConnectionSlots,
    pub(super) networks: NetworkSlots,
}

impl Slots {
    /// At most `connections` at once, and `per_network` from one IPv4 address or IPv6 /64; 0 means
    /// that a network may have any number.
    pub(crate) fn new(connections: usize, per_network: usize) -> Self {
        Self {
            connections: ConnectionSlots(Arc::new(Semaphore::new(connections))),
            networks: NetworkSlots { most: per_network, open: Arc::default() },
        }
    }
}

/// One slot for each open connection of any client.
#[derive(Clone)]
pub(super) struct ConnectionSlots(Arc<Semaphore>);

impl ConnectionSlots {
    /// Waits for a free slot. `None` when there will never be one.
    pub(super) async fn take(&self) -> Option<ConnectionSlot> {
        let permit = self.0.clone().acquire_owned().await;
        permit.ok().map(|permit| ConnectionSlot { _permit: permit })
    }
}

/// Dropping it makes room for another connection.
#[derive(Debug)]
pub(super) struct ConnectionSlot {
    _permit: OwnedSemaphorePermit,
}

/// The slots of each network. Apart from the others because a client's address may be known later
/// than its connection.
#[derive(Clone)]
pub(super) struct NetworkSlots {
    most: usize,
    open: OpenByNetwork,
}

type OpenByNetwork = Arc<Mutex<HashMap<Network, usize>>>;

impl NetworkSlots {
    /// A slot for a connection from `address`; `None` when its network has no free one.
    pub(super) fn take(&self, address: IpAddr) -> Option<NetworkSlot> {
        if self.most == 0 {
            return Some(NetworkSlot(None));
        }
        let network = Network::of(address);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(network).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(NetworkSlot(Some((network, self.open.clone()))))
    }
}

/// Dropping it makes room for another connection of the same network.
#[derive(Debug)]
pub(super) struct NetworkSlot(Option<(Network, OpenByNetwork)>);

impl Drop for NetworkSlot {
    fn drop(&mut self) {
        let Some((network, open)) = &self.0 else { return };
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                open.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_network_has_only_so_many_slots() {
        let networks = Slots::new(10, 2).networks;
        let take = |address: &str| networks.take(address.parse().unwrap());
        let first = take("2001:db8::1");
        let second = take("2001:db8::2");
        assert!(first.is_some() && second.is_some());
        assert!(take("2001:db8::3").is_none());
        assert!(take("2001:db8:0:1::3").is_some());
        assert!(take("127.0.0.1").is_some());
        drop(first);
        assert!(take("2001:db8::3").is_some());
        drop(second);
        assert!(networks.open.lock().unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_dropped_connection_makes_room_for_another() {
        let connections = Slots::new(1, 0).connections;
        let slot = connections.take().await.unwrap();
        assert_eq!(connections.0.available_permits(), 0);
        drop(slot);
        assert!(connections.take().await.is_some());
    }
}
