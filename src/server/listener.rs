//! Listening sockets, and accepting connections from them.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::accepted::Accepted;
use super::listening_socket::ListeningSocket;
use super::proxy_header::{self, Fault};
use super::slots::{Entry, Slots};
use super::workers::WorkersView;
use crate::config::Server;
use crate::header::forwarded;
use crate::state::Shared;

/// Connections that the kernel completes ahead of us.
const BACKLOG: i32 = 1024;
/// Pause when the system has no descriptors or memory for another connection.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// Binds `address`, one of `all` addresses of the process. Must be called within a runtime.
///
/// `[::]` accepts IPv4 connections too, unless `all` has an IPv4 address with the same port.
pub(crate) fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<ListeningSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(all.iter().any(|other| other.is_ipv4() && other.port() == address.port()))?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    ListeningSocket::of(socket)
}

/// Accepts connections for the workers, until it is dropped.
pub(crate) async fn accept(
    listener: Rc<ListeningSocket>,
    slots: Slots,
    shared: Arc<Shared>,
    workers: WorkersView,
) {
    let has_header = |server: &Server| server.proxy_protocol;
    accept_for(&listener, slots, &shared, has_header, |accepted| workers.hand_over(accepted)).await;
}

/// Accepts connections and passes them to `take`, as soon as there is a slot for each. Where each
/// `has_header` of the PROXY protocol, only trusted proxies get a slot.
pub(super) async fn accept_for(
    listener: &ListeningSocket,
    slots: Slots,
    shared: &Shared,
    has_header: impl Fn(&Server) -> bool,
    take: impl Fn(Accepted),
) {
    let address = listener.local_addr().map_or_else(|_| String::new(), |address| address.to_string());
    let count = shared.metrics.listener(address);
    let mut waiting = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(waited) = waiting.join_next() => {
                if let Ok(Some(accepted)) = waited {
                    take(accepted);
                }
                continue;
            }
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if !concerns_one_connection(&error) {
                    tracing::warn!(%error, "cannot accept connections, trying again");
                    sleep(EXHAUSTED).await;
                }
                continue;
            }
        };
        count.increment();
        let peer = peer.ip().to_canonical();
        let config = &shared.state().config;
        let is_trusted = forwarded::is_trusted(peer, &config.server.trusted_proxies);
        let has_header = has_header(&config.server);
        if has_header && !is_trusted {
            // It could be anybody, and must not take the slot of another.
            proxy_header::reject(shared, shared.metrics.of_main_thread(), peer, Fault::Stranger);
            continue;
        }
        // After accept: an idle listener must not hold a slot.
        match slots.enter(peer, is_trusted) {
            Entry::Slot(slot) => take(Accepted { socket, peer, slot, has_header }),
            Entry::Later(slot) => {
                let slot = timeout(config.limits.handshake_timeout, slot);
                waiting.spawn_local(async move {
                    let slot = slot.await.ok()?.ok()?;
                    Some(Accepted { socket, peer, slot, has_header })
                });
            }
            Entry::Refused => tracing::debug!(%peer, "too many connections of this network"),
        }
    }
}

/// Whether an error of accept(2) is that of the connection to be accepted. The next one may be
/// fine.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_same_port_is_bound_for_both_families() {
        let any_v4: SocketAddr = "0.0.0.0:0".parse().unwrap();
        let v4 = bind(any_v4, &[any_v4]).unwrap().local_addr().unwrap();
        let v6: SocketAddr = format!("[::]:{}", v4.port()).parse().unwrap();
        let all = [v4, v6];
        let listeners: Vec<_> = all.iter().map(|&address| bind(address, &all).unwrap()).collect();
        assert_eq!(listeners.len(), 2);
    }
}
