//! Opens TCP connections to hosts that have several addresses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

/// Connects to the first of `addresses` that accepts, tried in their order. Each gets an equal
/// share of `limit`, so an address that leads nowhere does not hide the next.
///
/// # Errors
/// That of the last address; `TimedOut` if its share of the time was over.
pub(crate) async fn dial(
    addresses: impl Iterator<Item = SocketAddr>,
    limit: Duration,
) -> io::Result<TcpStream> {
    let addresses: Vec<_> = addresses.collect();
    let share = limit / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => {
                tcp.set_nodelay(true)?;
                return Ok(tcp);
            }
            Ok(Err(error)) => failure = error,
            Err(_elapsed) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(failure)
}
