//! Opening a connection to the registry.

use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::{UnixStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::error::UpstreamError;
use super::server::Destination;
use super::stream::Stream;
use super::vanished::keep_alive;
use crate::config::ServerAddress;
use crate::dial::dial;

/// Opens a connection as soon as there is a permit for one, within `connect_timeout` in all.
pub(super) async fn connect(to: &Destination, permits: &Arc<Semaphore>) -> Result<Connection, UpstreamError> {
    let deadline = Instant::now() + to.connect_timeout;
    let permit = match timeout_at(deadline, permits.clone().acquire_owned()).await {
        Ok(Ok(permit)) => permit,
        Ok(Err(_)) | Err(_) => return Err(UpstreamError::Busy),
    };
    let stream = match timeout_at(deadline, open(to, deadline)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() != io::ErrorKind::TimedOut => {
            return Err(UpstreamError::Connect(error));
        }
        Ok(Err(_)) | Err(_) => return Err(UpstreamError::ConnectTimeout),
    };
    Connection::open(stream, permit).await.map_err(UpstreamError::NoAnswer)
}

async fn open(to: &Destination, deadline: Instant) -> io::Result<Stream> {
    let (host, port) = match &to.server {
        ServerAddress::Unix(path) => return Ok(Stream::new(UnixStream::connect(path).await?)),
        ServerAddress::Tcp { host, port, .. } => (host.as_str(), *port),
    };
    let addresses = lookup_host((host, port)).await?;
    let tcp = dial(addresses, deadline.saturating_duration_since(Instant::now())).await?;
    keep_alive(&tcp)?;
    let Some(tls) = &to.tls else {
        return Ok(Stream::new(tcp));
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Stream::new(TlsConnector::from(tls.config.clone()).connect(name, tcp).await?))
}

#[cfg(test)]
mod tests;
