//! The faulty registry as tidegate meets it, and the sound one beside it.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use time::OffsetDateTime;

use super::catalogue::{Certificate, Server};
use super::script::{Stage, Step, serve};
use crate::harness::authority::{Authority, Identity};
use crate::harness::fake::{Fake, refusing};
use crate::harness::tidegate::Settings;

pub struct Playing {
    pub stage: Arc<Stage>,
    server: Server,
    url: String,
    /// Signs the certificates of secure registries.
    authority: Authority,
    _kept: Kept,
}

/// What must live as long as the fault.
#[expect(dead_code, reason = "held for its end")]
enum Kept {
    Nothing,
    Registry(Fake),
    Backlog(TcpListener, Vec<TcpStream>),
}

impl Playing {
    pub fn start(server: Server) -> Playing {
        let stage = Arc::<Stage>::default();
        let authority = Authority::new();
        let on_stage = Arc::clone(&stage);
        let plays = move |script: &'static [Step]| {
            Fake::start(move |conversation| serve(&on_stage, script, "faulty", conversation))
        };
        let (url, kept) = match server {
            Server::Plain(script) => {
                let fake = plays(script);
                (fake.url(), Kept::Registry(fake))
            }
            Server::NotSecure(script) => {
                let fake = plays(script);
                (format!("https://localhost:{}", fake.address.port()), Kept::Registry(fake))
            }
            Server::Secure(certificate) => {
                let fake = secure(&authority, certificate);
                (format!("https://localhost:{}", fake.address.port()), Kept::Registry(fake))
            }
            Server::Refusing => (refusing(), Kept::Nothing),
            Server::Nameless => ("http://registry.invalid:5000".to_owned(), Kept::Nothing),
            Server::Deaf => {
                let (listener, waiting) = deaf();
                (format!("http://{}", listener.local_addr().unwrap()), Kept::Backlog(listener, waiting))
            }
        };
        Playing { stage, server, url, authority, _kept: kept }
    }

    /// Settings with this registry, and with a sound one beside it if there is one.
    pub fn settings(&self, beside: Option<&Fake>) -> Settings {
        let mut settings = Settings::for_upstream(&self.url);
        if let Some(sound) = beside {
            let servers = format!("[{:?}, {:?}]", self.url, sound.url());
            settings = settings
                .set("upstream.servers", &servers)
                .set("upstream.balance", r#""round-robin""#)
                .set("upstream.shared_storage", "true")
                .set("upstream.health_every", r#""0s""#);
        }
        if self.url.starts_with("https:") {
            std::fs::write(settings.path().join("registry-ca.crt"), self.authority.pem()).unwrap();
            settings = settings.set("upstream.ca", r#""registry-ca.crt""#);
        }
        settings
    }

    /// Whether it answers once the fault is over.
    pub fn can_be_sound(&self) -> bool {
        matches!(self.server, Server::Plain(_))
    }
}

/// A registry that is always sound.
pub fn sound() -> (Fake, Arc<Stage>) {
    let stage = Arc::<Stage>::default();
    let on_stage = Arc::clone(&stage);
    (Fake::start(move |conversation| serve(&on_stage, &[Step::Head], "sound", conversation)), stage)
}

fn secure(authority: &Authority, certificate: Certificate) -> Fake {
    let identity = match certificate {
        Certificate::Expired => {
            let now = OffsetDateTime::now_utc();
            authority.issue_dated("registry", now - time::Duration::days(30), now - time::Duration::days(1))
        }
        Certificate::OfAnotherName => authority.issue_for("registry", &["registry.example.com"]),
        Certificate::OfAnotherAuthority => Authority::new().issue("registry"),
    };
    let config = Arc::new(server_config(&identity));
    Fake::start(move |conversation| {
        let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut socket = conversation.socket();
        while connection.is_handshaking() && connection.complete_io(&mut socket).is_ok() {}
    })
}

fn server_config(identity: &Identity) -> rustls::ServerConfig {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    config.unwrap().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap()
}

/// A port whose backlog is full.
fn deaf() -> (TcpListener, Vec<TcpStream>) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(1).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let connect = |_| TcpStream::connect_timeout(&address, Duration::from_millis(200)).ok();
    let waiting = (0..64).map_while(connect).collect();
    (listener, waiting)
}
