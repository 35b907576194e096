//! Handshakes in memory.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{
    ClientConfig, ClientConnection, ContentType, RootCertStore, ServerConfig, SupportedCipherSuite,
};

use super::records::Records;
use super::{OVERHEAD, RecordKey, provider};

/// A client's key, for records of any kind.
pub(crate) struct Forger(RecordKey);

impl Forger {
    /// Takes the key of a client whose keys may be extracted.
    pub(crate) fn of(client: ClientConnection) -> Self {
        Self(RecordKey::new(client.dangerous_extract_secrets().unwrap().tx).unwrap())
    }

    pub(crate) fn seal(&mut self, typ: ContentType, content: &[u8]) -> Vec<u8> {
        let mut record = vec![0; content.len() + OVERHEAD];
        self.0.seal(typ, content, &mut record).unwrap();
        record
    }
}

/// A whole handshake in memory, session tickets included.
#[cfg(test)]
pub(crate) fn shake_hands(
    client: &Arc<ClientConfig>,
    server: &Arc<ServerConfig>,
    name: &'static str,
) -> Result<(ClientConnection, rustls::ServerConnection), rustls::Error> {
    let mut client = ClientConnection::new(client.clone(), ServerName::try_from(name).unwrap())?;
    let mut server = rustls::ServerConnection::new(server.clone())?;
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

/// The record layer of a server after its handshake with a client that has only `suite`, whose keys
/// may be extracted.
pub(crate) fn after_handshake(suite: SupportedCipherSuite) -> (ClientConnection, Records) {
    let made = rcgen::generate_simple_self_signed(["a.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let stock = CryptoProvider { cipher_suites: vec![suite], ..default_provider() };
    let mut client = ClientConfig::builder_with_provider(Arc::new(stock))
        .with_protocol_versions(&[suite.version()])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.enable_secret_extraction = true;
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()).into();
    let mut server = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    server.enable_secret_extraction = true;
    let name = ServerName::try_from("a.test").unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    client.set_buffer_limit(None);
    let mut server = UnbufferedServerConnection::new(Arc::new(server)).unwrap();
    let mut incoming = Vec::new();
    loop {
        while client.wants_write() {
            client.write_tls(&mut incoming).unwrap();
        }
        let UnbufferedStatus { discard, state } = server.process_tls_records(&mut incoming);
        match state.unwrap() {
            ConnectionState::EncodeTlsData(mut message) => {
                let mut wire = [0; 8192];
                let length = message.encode(&mut wire).unwrap();
                client.read_tls(&mut &wire[..length]).unwrap();
                client.process_new_packets().unwrap();
            }
            ConnectionState::TransmitTlsData(sent) => sent.done(),
            ConnectionState::WriteTraffic(_) => return (client, Records::take_over(server).unwrap()),
            ConnectionState::BlockedHandshake => {}
            other => panic!("{other:?}"),
        }
        incoming.drain(..discard);
    }
}
