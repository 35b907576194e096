//! Handshakes in memory.

use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Error, ServerConfig, ServerConnection};

/// A whole handshake in memory, session tickets included.
pub(crate) fn shake_hands(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &'static str,
) -> Result<(ClientConnection, ServerConnection), Error> {
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from(name).unwrap())?;
    let mut server = ServerConnection::new(server.clone())?;
    while client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire_end = wire.as_slice();
        while !wire_end.is_empty() {
            server.read_tls(&mut wire_end).unwrap();
            server.process_new_packets()?;
        }
        wire.clear();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire_end = wire.as_slice();
        while !wire_end.is_empty() {
            client.read_tls(&mut wire_end).unwrap();
            client.process_new_packets()?;
        }
    }
    Ok((client, server))
}
