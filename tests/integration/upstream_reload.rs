//! Connections to the registry over a reload: they belong to the settings that made them.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::harness::authority::Authority;
use crate::harness::http1::Client;
use crate::harness::tidegate::{Settings, Tidegate};

const AUTH: &str = "Authorization: Basic dGVzdHVzZXI6dGVzdHBhc3M=";

/// A registry over TLS that keeps its connections and counts them.
struct TlsRegistry {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl TlsRegistry {
    fn start(authority: &Authority) -> TlsRegistry {
        let identity = authority.issue("registry");
        let chain = vec![CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap()];
        let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        std::thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let (config, count) = (config.clone(), count.clone());
                std::thread::spawn(move || {
                    let tls = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
                    let mut stream = BufReader::new(tls);
                    let mut line = String::new();
                    let mut requests = 0;
                    while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                        if line == "\r\n" {
                            requests += 1;
                            if requests == 1 {
                                count.fetch_add(1, Ordering::SeqCst);
                            }
                            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
                            stream.get_mut().write_all(answer).unwrap();
                            stream.get_mut().flush().unwrap();
                        }
                        line.clear();
                    }
                });
            }
        });
        TlsRegistry { address, connections }
    }

    /// The connections that carried a request.
    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn start(registry: &TlsRegistry, authority: &Authority) -> Tidegate {
    let settings = Settings::for_upstream(&format!("https://{}", registry.address));
    let ca = settings.path().join("upstream-ca.pem");
    fs::write(&ca, authority.pem()).unwrap();
    let settings = settings.set("upstream.ca", &format!("{:?}", ca.to_str().unwrap()));
    Tidegate::start(settings.set("server.threads", "1"))
}

fn reload(tidegate: &Tidegate, change: impl FnOnce()) {
    let start = tidegate.log.len();
    change();
    tidegate.signal(Signal::HUP);
    tidegate.log.wait_after(start, "the reload", |line| line.contains("reloaded"));
}

#[test]
fn a_kept_connection_that_another_ca_verified_is_not_used_after_the_reload() {
    let (good, other) = (Authority::new(), Authority::new());
    let registry = TlsRegistry::start(&good);
    let tidegate = start(&registry, &good);
    let mut client = Client::connect(&tidegate);
    let mut status = || client.exchange("GET /v2/", &[AUTH]).status;
    assert_eq!((status(), status()), (200, 200));
    assert_eq!(registry.connections(), 1, "the connection is kept");

    let ca = tidegate.settings.path().join("upstream-ca.pem");
    reload(&tidegate, || fs::write(&ca, other.pem()).unwrap());
    assert_eq!(status(), 502, "the new CA does not verify the registry");
    reload(&tidegate, || fs::write(&ca, good.pem()).unwrap());
    assert_eq!(status(), 200);
    assert_eq!(registry.connections(), 2, "a connection made before both reloads is not used");
}

#[test]
fn a_reload_that_changes_nothing_of_the_registry_keeps_its_connections() {
    let authority = Authority::new();
    let registry = TlsRegistry::start(&authority);
    let tidegate = start(&registry, &authority);
    let mut client = Client::connect(&tidegate);
    for _ in 0..3 {
        assert_eq!(client.exchange("GET /v2/", &[AUTH]).status, 200);
        reload(&tidegate, || ());
    }
    assert_eq!(registry.connections(), 1);
}
