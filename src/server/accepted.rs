//! A connection between its acceptance and its first byte.

use std::net::{IpAddr, TcpStream};

use super::slots::Slot;

/// An accepted connection. The socket is nonblocking and belongs to no runtime yet.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) socket: TcpStream,
    /// The client's address, or that of the last proxy before us.
    pub(super) peer: IpAddr,
    pub(super) slot: Slot,
    /// Whether it begins with a header of the PROXY protocol. If so, the peer is a trusted proxy.
    pub(super) has_header: bool,
}

#[cfg(test)]
impl Accepted {
    /// A connection over loopback, and the client's end of it.
    pub(super) async fn with_client() -> (Self, TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (socket, peer) = listener.accept().unwrap();
        socket.set_nonblocking(true).unwrap();
        (Self { socket, peer: peer.ip(), slot: Slot::for_a_test(), has_header: false }, client)
    }
}
