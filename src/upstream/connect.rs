//! Opening a connection to one address of a server.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, sleep, timeout_at};
use tokio_rustls::TlsConnector;

use super::connection::Connection;
use super::endpoint::{Address, Endpoint};
use super::error::UpstreamError;
use super::server::Server;
use super::stream::Stream;
use super::vanished::keep_alive;
use crate::config::ServerAddress;

/// A connection that takes longer than this makes the name be looked up again.
const SLOW: Duration = Duration::from_millis(500);

/// Opens a connection until `deadline`, or until the address is gone.
pub(super) async fn connect(
    server: &Server,
    endpoint: &Endpoint,
    deadline: Instant,
) -> Result<Connection, UpstreamError> {
    let opened = async {
        let opened = timeout_at(deadline, open(server, endpoint)).await;
        let stream = opened.unwrap_or(Err(UpstreamError::ConnectTimeout))?;
        Ok(Connection::new(stream))
    };
    let slow = async {
        sleep(SLOW).await;
        server.want_attention();
        endpoint.left().await;
    };
    tokio::select! {
        biased;
        opened = opened => opened,
        () = slow => Err(UpstreamError::Connect(io::Error::other("the name has other addresses now"))),
    }
}

async fn open(server: &Server, endpoint: &Endpoint) -> Result<Stream, UpstreamError> {
    let address = match &endpoint.address {
        Address::Unix(path) => {
            return UnixStream::connect(path).await.map(Stream::new).map_err(UpstreamError::Connect);
        }
        Address::Tcp(address) => *address,
    };
    let tcp = dial(address).await.map_err(|error| match error.kind() {
        io::ErrorKind::TimedOut => UpstreamError::ConnectTimeout,
        _ => UpstreamError::Connect(error),
    })?;
    let (Some(tls), ServerAddress::Tcp { host, .. }) = (&server.tls, &server.address) else {
        return Ok(Stream::new(tcp));
    };
    let name =
        ServerName::try_from(host.clone()).map_err(|error| UpstreamError::Tls(io::Error::other(error)))?;
    let tls = TlsConnector::from(tls.config.clone()).connect(name, tcp).await;
    tls.map(Stream::new).map_err(UpstreamError::Tls)
}

async fn dial(address: SocketAddr) -> io::Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    keep_alive(&tcp)?;
    Ok(tcp)
}

#[cfg(test)]
mod tests;
