//! Ports that this user can listen on.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

const HTTPS: u16 = 443;
const UNPRIVILEGED: u16 = 8443;
const ADMIN: u16 = 9443;

/// How many ports are tried from the first one on.
const TRIES: u16 = 20;

/// For clients, on all addresses.
pub(super) fn for_clients() -> SocketAddr {
    let all = Ipv4Addr::UNSPECIFIED.into();
    if can_listen(SocketAddr::new(all, HTTPS)) {
        return SocketAddr::new(all, HTTPS);
    }
    first_free(all, UNPRIVILEGED)
}

/// For health, metrics and the status page, on this machine alone.
pub(super) fn for_admin() -> SocketAddr {
    first_free(Ipv4Addr::LOCALHOST.into(), ADMIN)
}

/// If none is free, the first: the start then says what is wrong with it.
fn first_free(address: IpAddr, first: u16) -> SocketAddr {
    let candidates = (first..first + TRIES).map(|port| SocketAddr::new(address, port));
    candidates.into_iter().find(|it| can_listen(*it)).unwrap_or(SocketAddr::new(address, first))
}

fn can_listen(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}
