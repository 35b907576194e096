//! The answers that prove to an ACME directory that a name is ours.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::crypto::provider;

/// The ALPN protocol of RFC 8737, which consists of the handshake alone.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers on offer. The process has one set, which all workers share and which survives
/// reloads.
#[derive(Debug, Default)]
pub(crate) struct Challenges(Mutex<HashMap<String, Answer>>);

#[derive(Debug, Clone)]
enum Answer {
    /// Offered under a token.
    Text(String),
    /// Offered under a server name.
    Handshake(Arc<ServerConfig>),
}

/// Why the certificate of a handshake cannot be made.
pub(crate) type ChallengeError = Box<dyn std::error::Error>;

/// An answer on offer. Dropping it withdraws the answer.
pub(crate) struct Offer {
    challenges: Arc<Challenges>,
    key: String,
}

impl Challenges {
    /// The answer to `GET /.well-known/acme-challenge/TOKEN` (RFC 8555 section 8.3).
    pub(crate) fn text(&self, token: &str) -> Option<String> {
        match self.find(token)? {
            Answer::Text(text) => Some(text),
            Answer::Handshake(_) => None,
        }
    }

    /// The configuration that answers a directory's handshake (RFC 8737 section 3). `None` for
    /// other clients and for names without an answer; the ordinary handshake then rejects the
    /// protocol.
    pub(crate) fn handshake(&self, hello: &ClientHello<'_>) -> Option<Arc<ServerConfig>> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return None;
        }
        match self.find(&hello.server_name()?.to_ascii_lowercase())? {
            Answer::Handshake(config) => Some(config),
            Answer::Text(_) => None,
        }
    }

    /// Answers `text` under `token` from now on.
    pub(crate) fn offer_text(self: &Arc<Self>, token: &str, text: &str) -> Offer {
        self.offer(token.to_owned(), Answer::Text(text.to_owned()))
    }

    /// Answers handshakes for `name`, a DNS name or an IP address, from now on. `digest` is SHA-256 of the key authorization.
    pub(crate) fn offer_handshake(
        self: &Arc<Self>,
        name: &str,
        digest: &[u8],
    ) -> Result<Offer, ChallengeError> {
        let config = handshake(name, digest)?;
        Ok(self.offer(server_name(name), Answer::Handshake(Arc::new(config))))
    }

    fn offer(self: &Arc<Self>, key: String, answer: Answer) -> Offer {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone(), answer);
        Offer { challenges: self.clone(), key }
    }

    fn find(&self, key: &str) -> Option<Answer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.challenges.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

/// The name that a directory asks for in its handshake. For an IP address it is the name of the
/// reverse zone (RFC 8738 section 6).
fn server_name(name: &str) -> String {
    match name.parse() {
        Ok(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(IpAddr::V6(address)) => {
            let octets = address.octets().into_iter().rev();
            octets.map(|octet| format!("{:x}.{:x}.", octet & 15, octet >> 4)).collect::<String>() + "ip6.arpa"
        }
        Err(_) => name.to_owned(),
    }
}

fn handshake(name: &str, digest: &[u8]) -> Result<ServerConfig, ChallengeError> {
    if digest.len() != 32 {
        return Err("the digest is not SHA-256".into());
    }
    let mut params = CertificateParams::new([name.to_owned()])?;
    params.distinguished_name = DistinguishedName::new();
    params.custom_extensions.push(CustomExtension::new_acme_identifier(digest));
    let key = KeyPair::generate()?;
    let certificate = params.self_signed(&key)?;
    let key = provider().key_provider.load_private_key(PrivateKeyDer::try_from(key.serialize_der())?)?;
    // rustls would refuse this certificate for its critical extension, but does not check
    // certificates that come from a resolver.
    let certified = SingleCertAndKey::from(CertifiedKey::new(vec![certificate.der().clone()], key));
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certified));
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

#[cfg(test)]
mod tests;
