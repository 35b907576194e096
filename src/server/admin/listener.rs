//! The sockets of the admin listener, and the connections to them.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, spawn_local};
use tokio::time::{sleep, timeout};

use super::access::Peer;
use super::connection::serve;
use super::patient::PATIENCE;
use super::server::AdminServer;
use super::socket_file::SocketFile;
use crate::config::AdminAddress;
use crate::server::accepted::Accepted;
use crate::server::linger::LingeringSocket;
use crate::server::listener::{accept_for, bind};
use crate::server::listening_socket::ListeningSocket;
use crate::server::slots::{Entry, Slots};

/// Connections to each listener, watchers of the page included.
const CONNECTIONS: usize = 64;
/// How long a connection may wait for others to leave.
const WAIT: Duration = Duration::from_secs(10);
/// Pause when the system has no descriptors or memory for another connection.
const EXHAUSTED: Duration = Duration::from_millis(200);

/// One of `server.admin`, listening. Displays as in proxy.toml.
pub(crate) enum AdminListener {
    Tcp(ListeningSocket),
    Unix(SocketFileListener),
}

/// A socket of the file system, which is removed when it is dropped.
pub(crate) struct SocketFileListener(SocketFile);

impl AdminListener {
    /// Listens at `address`, one of `all` addresses of the process. Must be called within a
    /// runtime.
    pub(crate) fn bind(address: &AdminAddress, all: &[SocketAddr]) -> io::Result<Self> {
        match address {
            AdminAddress::Tcp(address) => bind(*address, all).map(Self::Tcp),
            AdminAddress::Unix(path) => SocketFile::bind(path).map(SocketFileListener).map(Self::Unix),
        }
    }

    /// A socket that listens already, for TCP or in the file system. The file is removed at the end
    /// if it `is_ours`. Must be called within a runtime.
    pub(crate) fn of(socket: Socket, is_ours: bool) -> io::Result<Self> {
        if socket.domain()? == Domain::UNIX {
            return SocketFile::of(socket, is_ours).map(SocketFileListener).map(Self::Unix);
        }
        ListeningSocket::of(socket).map(Self::Tcp)
    }
}

impl AdminListener {
    /// Leaves a socket of the file system to another process.
    pub(crate) fn leave(&self) {
        if let Self::Unix(SocketFileListener(socket)) = self {
            socket.leave();
        }
    }
}

impl AsFd for AdminListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(listener) => listener.as_fd(),
            Self::Unix(SocketFileListener(socket)) => socket.listener.as_fd(),
        }
    }
}

impl fmt::Display for AdminListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => address.fmt(f),
                Err(_) => f.write_str("unknown"),
            },
            Self::Unix(SocketFileListener(socket)) => write!(f, "unix:{}", Path::display(socket.path())),
        }
    }
}

/// Accepts connections until it is dropped.
pub(crate) async fn accept_admin(listener: Rc<AdminListener>, server: Rc<AdminServer>) {
    let slots = Slots::new(CONNECTIONS, 0);
    match &*listener {
        AdminListener::Tcp(listener) => {
            let take = |Accepted { socket, peer, slot, .. }| match patient(socket) {
                Ok(socket) => {
                    let socket = LingeringSocket::new(socket);
                    spawn_local(serve(server.clone(), socket, Peer::Address(peer), slot));
                }
                Err(error) => tracing::warn!(%error, "lost a connection"),
            };
            accept_for(listener, slots, &server.shared, |_| false, take).await;
        }
        AdminListener::Unix(SocketFileListener(socket)) => accept_unix(socket, slots, &server).await,
    }
}

/// A socket that fails once the client's machine has taken nothing for [`PATIENCE`]. The kernel
/// buffers an hour of events, so that writes alone do not show it.
fn patient(socket: std::net::TcpStream) -> io::Result<TcpStream> {
    SockRef::from(&socket).set_tcp_user_timeout(Some(PATIENCE))?;
    TcpStream::from_std(socket)
}

async fn accept_unix(socket: &SocketFile, slots: Slots, server: &Rc<AdminServer>) {
    let count = server.shared.metrics.listener(format!("unix:{}", socket.path().display()));
    let mut waiting = JoinSet::new();
    loop {
        let (stream, slot) = tokio::select! {
            accepted = socket.listener.accept() => {
                let stream = match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept connections, trying again");
                        sleep(EXHAUSTED).await;
                        continue;
                    }
                };
                count.increment();
                // All clients are of this machine, so none of them is crowded out by its address.
                match slots.enter(IpAddr::V4(Ipv4Addr::LOCALHOST), true) {
                    Entry::Slot(slot) => (stream, slot),
                    Entry::Later(slot) => {
                        waiting.spawn_local(async move {
                            let slot = timeout(WAIT, slot).await.ok()?.ok()?;
                            Some((stream, slot))
                        });
                        continue;
                    }
                    Entry::Refused => continue,
                }
            }
            Some(waited) = waiting.join_next() => match waited {
                Ok(Some(waited)) => waited,
                _ => continue,
            },
        };
        spawn_local(serve(server.clone(), stream, Peer::Socket, slot));
    }
}
