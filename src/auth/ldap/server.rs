//! Opens connections to a server of a directory. The only ones without TLS are Unix sockets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::connection::Connection;
use super::failure::words;
use crate::config::LdapServer;
use crate::dial::dial;
use crate::ldap::{Answer, Message, frame, start_tls};

/// Bytes of the answer to STARTTLS.
const LONGEST_ANSWER: usize = 4096;

/// Connects until `deadline`. `position` is that of the server in the settings.
///
/// # Errors
/// Why the server cannot be reached, for the log.
pub(super) async fn open(
    server: &LdapServer,
    position: usize,
    tls: Option<&Arc<ClientConfig>>,
    deadline: Instant,
) -> Result<Connection, String> {
    let opened = async {
        match server {
            LdapServer::Unix(path) => {
                let socket = UnixStream::connect(path).await;
                let socket = socket.map_err(|error| format!("it cannot be reached: {error}"))?;
                Ok(Connection::new(Box::new(socket), position, 0))
            }
            _ => Ok(Connection::new(Box::new(secured(server, tls, deadline).await?), position, 1)),
        }
    };
    within(deadline, opened).await
}

/// Connects to a server. Its certificate; `None` for a socket.
pub(super) async fn certificate(
    server: &LdapServer,
    tls: Option<&Arc<ClientConfig>>,
    deadline: Instant,
) -> Result<Option<CertificateDer<'static>>, String> {
    if matches!(server, LdapServer::Unix(_)) {
        return open(server, 0, tls, deadline).await.map(|_connection| None);
    }
    let stream = within(deadline, secured(server, tls, deadline)).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Ok(chain.first().map(|certificate| certificate.clone().into_owned()))
}

async fn within<T>(deadline: Instant, step: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    timeout_at(deadline, step).await.unwrap_or_else(|_elapsed| Err("it does not answer in time".to_owned()))
}

async fn secured(
    server: &LdapServer,
    tls: Option<&Arc<ClientConfig>>,
    deadline: Instant,
) -> Result<TlsStream<TcpStream>, String> {
    let (host, port, is_later) = match server {
        LdapServer::Tls { host, port } => (host, *port, false),
        LdapServer::StartTls { host, port } => (host, *port, true),
        LdapServer::Unix(_) => return Err("a socket has no certificate".to_owned()),
    };
    let tls = tls.ok_or("there is no configuration of TLS")?;
    let addresses = lookup_host((host.as_str(), port)).await;
    let addresses = addresses.map_err(|error| format!("{host} cannot be resolved: {error}"))?;
    let left: Duration = deadline.saturating_duration_since(Instant::now());
    let mut tcp = dial(addresses, left).await.map_err(|error| format!("it cannot be reached: {error}"))?;
    if is_later {
        ask_for_tls(&mut tcp).await?;
    }
    let name = ServerName::try_from(host.clone());
    let name = name.map_err(|error| format!("{host} has no certificate: {error}"))?;
    let tls = TlsConnector::from(tls.clone()).connect(name, tcp).await;
    tls.map_err(|error| format!("TLS fails: {error}"))
}

/// STARTTLS (RFC 4511, section 4.14). Reads nothing behind the answer: whatever stands there in
/// clear becomes a part of the handshake, and has it fail.
async fn ask_for_tls(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<(), String> {
    let broken = |error: io::Error| format!("STARTTLS fails: {error}");
    stream.write_all(&start_tls(1)).await.map_err(broken)?;
    let mut answer = Vec::new();
    let length = loop {
        answer.push(stream.read_u8().await.map_err(broken)?);
        if let Some(length) = frame(&answer).map_err(|error| error.to_string())? {
            break length;
        }
    };
    if length > LONGEST_ANSWER {
        return Err("its answer to STARTTLS is too long".to_owned());
    }
    let header = answer.len();
    answer.resize(length.max(header), 0);
    stream.read_exact(&mut answer[header..]).await.map_err(broken)?;
    match Message::parse(&answer).map_err(|error| error.to_string())? {
        Message { id: 1, answer: Answer::Extended(outcome) } if outcome.code == 0 => Ok(()),
        Message { answer: Answer::Extended(outcome), .. } => {
            Err(format!("it refuses STARTTLS: {}", words(&outcome)))
        }
        _ => Err("its answer to STARTTLS is something else".to_owned()),
    }
}
