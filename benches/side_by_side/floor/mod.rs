//! The floor: the smallest proxy that answers some of the workloads, with the system calls and the
//! cryptography that no proxy with sockets can do without.
//!
//! It is this program, started again as a process of its own. Each core has one thread with its own
//! listener and epoll. After the handshake, rustls hands over the keys, and records are opened and
//! sealed here. Bytes of HTTP/1.1 are passed on as they are, and not understood. HTTP/2 becomes
//! HTTP/1.1 for the upstream, one request after the other. Nothing is logged, and there are no
//! timeouts. It is right for the clients of this bench only.

mod connection;
mod end;
mod http2;
mod key;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::retry_on_intr;
use rustix::net;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use self::connection::Connection;
use self::end::{NEW, Shared, socket};
use crate::failure::Outcome;
use crate::target::{Groups, provider};

/// The first argument of a process that is the floor. The others are port, upstream, certificate,
/// key, [`CLASSIC`] or [`GO`], and [`OPEN`] or [`CLOSED`].
pub const COMMAND: &str = "--serve-floor";
pub const CLASSIC: &str = "classic";
pub const GO: &str = "go";
pub const OPEN: &str = "open";
/// Connections whose first request has no field `authorization` get a 401. Over HTTP/2, each such
/// request gets one.
pub const CLOSED: &str = "closed";

const LISTENER: u64 = u64::MAX;

/// Serves until the process is killed.
pub fn serve(arguments: &[String]) -> Outcome<ExitCode> {
    let [port, upstream, certificate, key, groups, access] = arguments else {
        return Err("the floor has other arguments".into());
    };
    let (port, upstream) = (port.parse()?, upstream.parse()?);
    let groups = if groups == GO { Groups::Go } else { Groups::Classic };
    let chain = vec![CertificateDer::from_pem_file(certificate)?];
    let mut tls = ServerConfig::builder_with_provider(Arc::new(provider(groups)))
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    tls.send_tls13_tickets = 0;
    tls.enable_secret_extraction = true;
    let tls = Arc::new(tls);
    let mut workers = Vec::new();
    for _ in 0..thread::available_parallelism()?.get() {
        let worker = Worker {
            listener: listen(port)?,
            tls: Arc::clone(&tls),
            connections: Vec::new(),
            free: Vec::new(),
            closed: access == CLOSED,
            shared: Shared::new(upstream)?,
        };
        workers.push(thread::spawn(move || worker.run()));
    }
    for worker in workers {
        worker.join().map_err(|_| "a thread of the floor panicked")??;
    }
    Ok(ExitCode::SUCCESS)
}

/// A listener that shares its port. Accepted sockets inherit that they send at once.
fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = socket()?;
    net::sockopt::set_socket_reuseport(&socket, true)?;
    net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    net::listen(&socket, 1024)?;
    Ok(socket.into())
}

struct Worker {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    /// Where a connection is here, times two, is the token of its client's socket. The token of its
    /// upstream's socket is one more.
    connections: Vec<Option<Connection>>,
    free: Vec<usize>,
    closed: bool,
    shared: Shared,
}

impl Worker {
    fn run(mut self) -> io::Result<()> {
        epoll::add(&self.shared.epoll, &self.listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
        let mut events = Vec::with_capacity(64);
        loop {
            retry_on_intr(|| epoll::wait(&self.shared.epoll, spare_capacity(&mut events), None))?;
            for event in events.drain(..) {
                let token = event.data.u64();
                if token == LISTENER {
                    self.accept()?;
                    continue;
                }
                let place = (token / 2) as usize;
                // One that has just been closed may have had another event.
                let Some(Some(connection)) = self.connections.get_mut(place) else { continue };
                if connection.serve(token, event.flags, &mut self.shared).is_err()
                    && let Some(connection) = self.connections[place].take()
                {
                    connection.end(&mut self.shared);
                    self.free.push(place);
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        // Another event may tell of a client that has left.
        let Ok(socket) = net::accept_with(&self.listener, NEW) else { return Ok(()) };
        let place = self.free.pop().unwrap_or(self.connections.len());
        if place == self.connections.len() {
            self.connections.push(None);
        }
        let (token, tls) = (2 * place as u64, Arc::clone(&self.tls));
        self.connections[place] = Some(Connection::new(socket, token, tls, self.closed, &self.shared)?);
        Ok(())
    }
}
