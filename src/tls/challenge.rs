//! The answers that prove to an ACME directory that a name is ours.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, NoServerSessionStorage};
use rustls::sign::{CertifiedKey, SingleCertAndKey};

use crate::crypto::provider;
use crate::engine::Engine;
use crate::secret::Secret;

/// The ALPN protocol of RFC 8737, which consists of the handshake alone.
pub(crate) const PROTOCOL: &[u8] = b"acme-tls/1";

/// Bytes of SHA-256.
const DIGEST: usize = 32;

/// The answers on offer. The process has one set, which all workers share and which survives
/// reloads. With an engine, the answers of other replicas belong to it.
#[derive(Default)]
pub(crate) struct Challenges {
    own: Mutex<HashMap<Place, Answer>>,
    engine: OnceLock<Engine>,
}

/// Where a directory looks for an answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// Behind a token.
    Token(String),
    /// In the handshake for a server name.
    ServerName(String),
}

#[derive(Debug, Clone)]
enum Answer {
    Text(String),
    Handshake(Arc<ServerConfig>),
}

/// Why the certificate of a handshake cannot be made.
pub(crate) type ChallengeError = Box<dyn std::error::Error>;

/// An answer on offer. Dropping it withdraws the answer.
pub(crate) struct Offer {
    challenges: Arc<Challenges>,
    pub(crate) place: Place,
    /// What other replicas need to answer too.
    pub(crate) shared: Secret,
}

impl Place {
    /// The name of the key under which replicas share the answer.
    pub(crate) fn key(&self, engine: &Engine) -> String {
        let (kind, name) = match self {
            Self::Token(token) => ("token", token),
            Self::ServerName(name) => ("name", name),
        };
        engine.key(&["acme", "answer", kind, name])
    }
}

impl Challenges {
    /// Asks `engine` too from now on.
    pub(crate) fn share(&self, engine: Engine) {
        _ = self.engine.set(engine);
    }

    /// The answer to `GET /.well-known/acme-challenge/TOKEN` (RFC 8555 section 8.3).
    pub(crate) async fn text(&self, token: &str) -> Option<String> {
        let place = Place::Token(token.to_owned());
        match self.find(&place) {
            Some(Answer::Text(text)) => Some(text),
            Some(Answer::Handshake(_)) => None,
            None if is_token(token) => {
                String::from_utf8(self.elsewhere(&place).await?.expose().to_vec()).ok()
            }
            None => None,
        }
    }

    /// Whether there can be an answer to a directory's handshake.
    pub(crate) fn may_be_asked(&self) -> bool {
        self.engine.get().is_some() || !self.own.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// The place where a directory's handshake (RFC 8737 section 3) looks. `None` for other
    /// clients.
    pub(crate) fn asked(hello: &ClientHello<'_>) -> Option<Place> {
        let mut protocols = hello.alpn()?;
        if protocols.next() != Some(PROTOCOL) || protocols.next().is_some() {
            return None;
        }
        Some(Place::ServerName(hello.server_name()?.to_ascii_lowercase()))
    }

    /// The configuration that answers such a handshake. `None` if there is no answer; the ordinary
    /// handshake then rejects the protocol.
    pub(crate) async fn handshake(&self, place: &Place) -> Option<Arc<ServerConfig>> {
        match (self.find(place), place) {
            (Some(Answer::Handshake(config)), _) => Some(config),
            (None, Place::ServerName(_)) => {
                let answer = self.elsewhere(place).await?;
                let (digest, name) = answer.expose().split_at_checked(DIGEST)?;
                handshake(str::from_utf8(name).ok()?, digest).map(Arc::new).ok()
            }
            _ => None,
        }
    }

    /// Answers `text` under `token` from now on.
    pub(crate) fn offer_text(self: &Arc<Self>, token: &str, text: &str) -> Offer {
        self.offer(Place::Token(token.to_owned()), Answer::Text(text.to_owned()), text.as_bytes().to_vec())
    }

    /// Answers handshakes for `name`, a DNS name or an IP address, from now on. `digest` is SHA-256
    /// of the key authorization.
    pub(crate) fn offer_handshake(
        self: &Arc<Self>,
        name: &str,
        digest: &[u8],
    ) -> Result<Offer, ChallengeError> {
        let config = handshake(name, digest)?;
        let shared = [digest, name.as_bytes()].concat();
        Ok(self.offer(Place::ServerName(server_name(name)), Answer::Handshake(Arc::new(config)), shared))
    }

    fn offer(self: &Arc<Self>, place: Place, answer: Answer, shared: Vec<u8>) -> Offer {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).insert(place.clone(), answer);
        Offer { challenges: self.clone(), place, shared: Secret::new(shared) }
    }

    fn find(&self, place: &Place) -> Option<Answer> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    /// What another replica answers.
    async fn elsewhere(&self, place: &Place) -> Option<Secret> {
        let engine = self.engine.get()?;
        let key = place.key(engine);
        let mut command = redis::cmd("GET");
        let sealed: Option<Vec<u8>> = engine.query(command.arg(&key)).await.ok()?;
        engine.open(&key, &sealed?)
    }
}

impl Drop for Offer {
    fn drop(&mut self) {
        self.challenges.own.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.place);
    }
}

/// Whether it can be a token (RFC 8555 section 8.1).
fn is_token(text: &str) -> bool {
    text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
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
    if digest.len() != DIGEST {
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
    // The keys go to the record layer of `crypto/records.rs`.
    config.enable_secret_extraction = true;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(config)
}

#[cfg(test)]
mod tests;
