//! Pebble, the ACME directory that Let's Encrypt provides for tests of clients, at its strictest:
//! it rejects half of all nonces and validates every name again.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tempfile::TempDir;

use super::authority::Authority;
use super::door::{Door, dns};
use super::lines::Lines;
use super::{DEADLINE, child, tools};

pub struct Pebble {
    pub log: Lines,
    /// The ports that it connects to for tls-alpn-01 and http-01.
    pub tls: Door,
    pub http: Door,
    server: Server,
    authority: Authority,
    folder: TempDir,
}

/// What a directory asks of its clients.
#[derive(Clone, Copy)]
struct Rules {
    /// How long its certificates are valid.
    seconds: u64,
    /// The key ID and the HMAC key of those who may register.
    external: Option<(&'static str, &'static str)>,
}

/// The process and its two ports.
struct Server {
    child: Child,
    directory: u16,
    management: u16,
}

impl Pebble {
    pub fn start() -> Pebble {
        Pebble::start_with(Rules { seconds: 90 * 24 * 3600, external: None })
    }

    /// A directory whose certificates are valid for this many seconds.
    pub fn start_for(seconds: u64) -> Pebble {
        Pebble::start_with(Rules { seconds, external: None })
    }

    /// A directory that registers only those who have this HMAC key, in base64url.
    pub fn start_bound(kid: &'static str, key: &'static str) -> Pebble {
        Pebble::start_with(Rules { seconds: 90 * 24 * 3600, external: Some((kid, key)) })
    }

    fn start_with(rules: Rules) -> Pebble {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new();
        authority.issue("pebble").write(folder.path(), "pebble");
        fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        let (tls, http, names) = (Door::new(), Door::new(), dns());
        // Pebble does not report which port it got. So it gets two ports that were free a moment
        // ago, until that works.
        loop {
            let (directory, management) = (free_port(), free_port());
            let settings = serde_json::json!({ "pebble": {
                "listenAddress": format!("127.0.0.1:{directory}"),
                "managementListenAddress": format!("127.0.0.1:{management}"),
                "certificate": folder.path().join("pebble.crt"),
                "privateKey": folder.path().join("pebble.key"),
                "httpPort": http.port,
                "tlsPort": tls.port,
                "certificateValidityPeriod": rules.seconds,
                "externalAccountBindingRequired": rules.external.is_some(),
                "externalAccountMACKeys": BTreeMap::from_iter(rules.external),
                "profiles": { "shortlived": { "description": "six days", "validityPeriod": rules.seconds } },
            }});
            fs::write(folder.path().join("pebble.json"), settings.to_string()).unwrap();
            let mut child = run(folder.path(), names);
            let log = Lines::follow(child.stdout.take().unwrap());
            let mut server = Server { child, directory, management };
            if server.listens() {
                return Pebble { log, tls, http, server, authority, folder };
            }
        }
    }

    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.server.directory)
    }

    /// The PEM file with the root certificate of its own HTTPS server.
    pub fn ca(&self) -> String {
        self.folder.path().join("ca.crt").to_str().unwrap().to_owned()
    }

    /// The address of its HTTPS server, and a client that trusts it.
    pub fn https(&self) -> (SocketAddr, Arc<rustls::ClientConfig>) {
        (([127, 0, 0, 1], self.server.directory).into(), self.authority.client(&[]))
    }

    /// The number of orders it has received.
    pub fn orders(&self) -> usize {
        self.log.so_far().iter().filter(|line| line.contains("Added order")).count()
    }

    /// A client that trusts the certificates it issues.
    pub fn client(&self) -> Arc<rustls::ClientConfig> {
        let url = format!("https://127.0.0.1:{}/roots/0", self.server.management);
        let pem = tools::succeed("curl", &["--silent", "--show-error", "--cacert", &self.ca(), &url]);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Arc::new(config)
    }
}

impl Server {
    /// Waits until both ports are open. False when the process ended instead, because a port was
    /// taken.
    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + DEADLINE;
        for port in [self.directory, self.management] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(Instant::now() < deadline, "Pebble does not listen");
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                std::thread::yield_now();
            }
        }
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(folder: &Path, names: SocketAddr) -> Child {
    let mut command = Command::new("pebble");
    command.arg("-config").arg(folder.join("pebble.json")).arg("-strict");
    command.arg("-dnsserver").arg(names.to_string());
    command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", "50");
    command.env("PEBBLE_AUTHZREUSE", "0").env("PEBBLE_CHAIN_LENGTH", "2");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    child::spawn(command).expect("pebble is installed: tests/run.sh does it")
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
