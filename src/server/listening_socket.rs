//! A socket that listens, without a runtime for what it accepts.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use socket2::{SockRef, Socket};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A socket that listens. tokio would register what it accepts with the thread that accepts, which
/// gives it away at once: two system calls per connection.
pub(crate) struct ListeningSocket(AsyncFd<TcpListener>);

impl ListeningSocket {
    /// A socket that listens already, and is nonblocking. Must be called within a runtime.
    #[expect(unsafe_code, reason = "the only way to wait for a socket that tokio has no type for")]
    pub(crate) fn of(socket: Socket) -> io::Result<Self> {
        // Inherited by what is accepted (tcp(7)).
        socket.set_tcp_nodelay(true)?;
        let socket = TcpListener::from(socket);
        // SAFETY: the listener owns its descriptor. It is neither replaced nor closed before the
        // registration ends.
        let registered = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) };
        Ok(Self(registered?))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().local_addr()
    }

    /// Waits for a connection. Its socket is nonblocking.
    pub(super) async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
        let accept = |socket: &TcpListener| SockRef::from(socket).accept4(flags);
        let (socket, peer) = self.0.async_io(Interest::READABLE, accept).await?;
        let peer = peer.as_socket().ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok((socket.into(), peer))
    }
}

impl AsFd for ListeningSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
