//! Opening a connection to the registry.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::error::UpstreamError;
use super::server::Destination;
use super::stream::Stream;
use crate::config::ServerAddress;

/// Opens a connection as soon as there is a permit for one, within `connect_timeout` in all.
pub(super) async fn connect(to: &Destination, permits: &Arc<Semaphore>) -> Result<Connection, UpstreamError> {
    let deadline = Instant::now() + to.connect_timeout;
    let permit = match timeout_at(deadline, permits.clone().acquire_owned()).await {
        Ok(Ok(permit)) => permit,
        Ok(Err(_)) | Err(_) => return Err(UpstreamError::Busy),
    };
    let stream = match timeout_at(deadline, open(to)).await {
        Ok(stream) => stream.map_err(UpstreamError::Connect)?,
        Err(_elapsed) => return Err(UpstreamError::ConnectTimeout),
    };
    Connection::open(stream, permit).await.map_err(UpstreamError::NoAnswer)
}

async fn open(to: &Destination) -> io::Result<Stream> {
    let (host, port) = match &to.server {
        ServerAddress::Unix(path) => return Ok(Stream::new(UnixStream::connect(path).await?)),
        ServerAddress::Tcp { host, port, .. } => (host.as_str(), *port),
    };
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    let Some(config) = &to.tls else {
        return Ok(Stream::new(tcp));
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Stream::new(TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?))
}

#[cfg(test)]
mod tests;
