//! Opening a connection to the registry.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;

use rustls::pki_types::ServerName;
use tokio::net::{UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::error::UpstreamError;
use super::server::Destination;
use super::stream::Stream;
use super::vanished::keep_alive;
use crate::config::ServerAddress;
use crate::dial::dial;

/// Opens a connection within `connect_timeout`.
pub(super) async fn connect(to: &Destination) -> Result<Connection, UpstreamError> {
    let deadline = Instant::now() + to.connect_timeout;
    let stream =
        timeout_at(deadline, open(to, deadline)).await.unwrap_or(Err(UpstreamError::ConnectTimeout))?;
    Connection::open(stream).await.map_err(UpstreamError::of_connection)
}

/// How many addresses the registry has. A look-up may take as long as the resolver's patience.
pub(crate) async fn addresses(server: &ServerAddress) -> io::Result<u64> {
    match server {
        ServerAddress::Unix(_) => Ok(1),
        ServerAddress::Tcp { host, port, .. } => {
            let found: HashSet<IpAddr> =
                lookup_host((host.as_str(), *port)).await?.map(|address| address.ip()).collect();
            Ok(found.len() as u64)
        }
    }
}

async fn open(to: &Destination, deadline: Instant) -> Result<Stream, UpstreamError> {
    let (host, port) = match &to.server {
        ServerAddress::Unix(path) => {
            return UnixStream::connect(path).await.map(Stream::new).map_err(UpstreamError::Connect);
        }
        ServerAddress::Tcp { host, port, .. } => (host.as_str(), *port),
    };
    let addresses = lookup_host((host, port)).await.map_err(UpstreamError::Name)?;
    let tcp = dial(addresses, deadline.saturating_duration_since(Instant::now())).await;
    let tcp = tcp.and_then(|tcp| keep_alive(&tcp).map(|()| tcp)).map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => UpstreamError::ConnectTimeout,
        _ => UpstreamError::Connect(error),
    })?;
    let Some(tls) = &to.tls else {
        return Ok(Stream::new(tcp));
    };
    let name =
        ServerName::try_from(host.to_owned()).map_err(|error| UpstreamError::Tls(io::Error::other(error)))?;
    let tls = TlsConnector::from(tls.config.clone()).connect(name, tcp).await;
    tls.map(Stream::new).map_err(UpstreamError::Tls)
}

#[cfg(test)]
mod tests;
