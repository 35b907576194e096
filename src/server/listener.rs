//! Accepting connections, and how many.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;

use super::workers::Workers;
use crate::network::Network;

/// Connections that the kernel completes ahead of us.
const BACKLOG: i32 = 1024;
/// Pause when the system has no descriptors or memory for another connection.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// Opens one of the listening sockets `all`. Must be called within a runtime.
///
/// `[::]` takes IPv4 connections too, unless an IPv4 socket is to have the same port.
pub(crate) fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(all.iter().any(|other| other.is_ipv4() && other.port() == address.port()))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Accepts for ever. Beyond the limit of connections it waits, and the kernel's backlog with it.
pub(crate) async fn accept(listener: TcpListener, connections: Connections, workers: Rc<Workers>) {
    accept_for(listener, connections, |socket, peer, place| workers.hand_over(socket, peer, place)).await;
}

/// The same for whoever takes the connections.
pub(super) async fn accept_for(
    listener: TcpListener,
    connections: Connections,
    take: impl Fn(TcpStream, IpAddr, Place),
) {
    loop {
        match listener.accept().await {
            Ok((socket, peer)) => {
                // Only now: a listener to which nobody comes must not hold a place.
                let Ok(permit) = connections.permits.clone().acquire_owned().await else { return };
                let address = peer.ip().to_canonical();
                match connections.admit(address, permit) {
                    Some(place) => take(socket, address, place),
                    None => tracing::debug!(peer = %address, "over limits.connections_per_ip"),
                }
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections, trying again");
                sleep(EXHAUSTED).await;
            }
        }
    }
}

/// accept(2) hands on errors of the connection that was to be accepted; the next one may be fine.
fn is_of_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// The open client connections, counted in all and by network.
#[derive(Clone)]
pub(crate) struct Connections {
    permits: Arc<Semaphore>,
    per_network: usize,
    networks: Networks,
}

type Networks = Arc<Mutex<HashMap<Network, usize>>>;

impl Connections {
    /// At most `all` at once, and `per_network` from one IPv4 address or IPv6 /64; 0 for no such limit.
    pub(crate) fn new(all: usize, per_network: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(all)), per_network, networks: Arc::default() }
    }

    fn admit(&self, address: IpAddr, permit: OwnedSemaphorePermit) -> Option<Place> {
        if self.per_network == 0 {
            return Some(Place { _permit: permit, network: None });
        }
        let network = Network::of(address);
        let mut networks = self.networks.lock().unwrap_or_else(PoisonError::into_inner);
        let count = networks.entry(network).or_default();
        if *count >= self.per_network {
            return None;
        }
        *count += 1;
        Some(Place { _permit: permit, network: Some((network, self.networks.clone())) })
    }
}

/// One open connection; dropping it makes room for another.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    network: Option<(Network, Networks)>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((network, networks)) = &self.network else { return };
        let mut networks = networks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = networks.get_mut(network) {
            *count -= 1;
            if *count == 0 {
                networks.remove(network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(connections: &Connections, address: &str) -> Option<Place> {
        let permit = connections.permits.clone().try_acquire_owned().unwrap();
        connections.admit(address.parse().unwrap(), permit)
    }

    #[tokio::test]
    async fn the_same_port_is_bound_for_both_families() {
        let any_v4: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let v4 = bind(any_v4, &[any_v4]).unwrap().local_addr().unwrap();
        let v6: SocketAddr = format!("[::]:{}", v4.port()).parse().unwrap();
        let all = [v4, v6];
        let listeners: Vec<_> = all.iter().map(|&address| bind(address, &all).unwrap()).collect();
        assert_eq!(listeners.len(), 2);
    }

    #[test]
    fn one_network_has_only_so_many_places() {
        let connections = Connections::new(10, 2);
        let first = admit(&connections, "2001:db8::1");
        let second = admit(&connections, "2001:db8::2");
        assert!(first.is_some() && second.is_some());
        assert!(admit(&connections, "2001:db8::3").is_none());
        assert!(admit(&connections, "2001:db8:0:1::3").is_some());
        assert!(admit(&connections, "127.0.0.1").is_some());
        drop(first);
        assert!(admit(&connections, "2001:db8::3").is_some());
        drop(second);
        assert!(connections.networks.lock().unwrap().is_empty());
        assert_eq!(connections.permits.available_permits(), 10);
    }
}
