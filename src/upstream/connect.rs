//! Opening a connection to the registry.

use std::io;
use std::pin::Pin;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::connection::{Connection, Stream};
use super::{Destination, UpstreamError};
use crate::config::ServerAddress;

pub(super) async fn connect(to: &Destination) -> Result<Connection, UpstreamError> {
    let stream = match timeout(to.connect_timeout, open(to)).await {
        Ok(stream) => stream.map_err(UpstreamError::Connect)?,
        Err(_elapsed) => return Err(UpstreamError::ConnectTimeout),
    };
    Connection::open(stream).await.map_err(UpstreamError::NoAnswer)
}

async fn open(to: &Destination) -> io::Result<Pin<Box<dyn Stream>>> {
    let (host, port) = match &to.server {
        ServerAddress::Unix(path) => return Ok(Box::pin(UnixStream::connect(path).await?)),
        ServerAddress::Tcp { host, port, .. } => (host.as_str(), *port),
    };
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    let Some(config) = &to.tls else {
        return Ok(Box::pin(tcp));
    };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    Ok(Box::pin(TlsConnector::from(Arc::clone(config)).connect(name, tcp).await?))
}
