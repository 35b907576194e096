//! Pebble, the ACME directory that Let's Encrypt tests clients with, as unkind as it can be: it refuses half of all nonces and has
//! every name proven anew.

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
    /// Where it looks for tls-alpn-01, and for http-01.
    pub tls: Door,
    pub http: Door,
    server: Server,
    folder: TempDir,
}

/// The process and the two ports it listens on.
struct Server {
    child: Child,
    directory: u16,
    management: u16,
}

impl Pebble {
    pub fn start() -> Pebble {
        Pebble::start_for(90 * 24 * 3600)
    }

    /// One whose certificates are good for so many seconds.
    pub fn start_for(seconds: u64) -> Pebble {
        let folder = TempDir::new().unwrap();
        let authority = Authority::new();
        authority.issue("pebble").write(folder.path(), "pebble");
        fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        let (tls, http, names) = (Door::new(), Door::new(), dns());
        // It does not tell which port it got, so it is given two that were free a moment ago, until that works.
        loop {
            let (directory, management) = (free_port(), free_port());
            let settings = serde_json::json!({ "pebble": {
                "listenAddress": format!("127.0.0.1:{directory}"),
                "managementListenAddress": format!("127.0.0.1:{management}"),
                "certificate": folder.path().join("pebble.crt"),
                "privateKey": folder.path().join("pebble.key"),
                "httpPort": http.port,
                "tlsPort": tls.port,
                "certificateValidityPeriod": seconds,
            }});
            fs::write(folder.path().join("pebble.json"), settings.to_string()).unwrap();
            let mut child = run(folder.path(), names);
            let log = Lines::follow(child.stdout.take().unwrap());
            let mut server = Server { child, directory, management };
            if server.listens() {
                return Pebble { log, tls, http, server, folder };
            }
        }
    }

    pub fn directory(&self) -> String {
        format!("https://127.0.0.1:{}/dir", self.server.directory)
    }

    /// The PEM file with the root of its own HTTPS.
    pub fn ca(&self) -> String {
        self.folder.path().join("ca.crt").to_str().unwrap().to_owned()
    }

    /// How many orders it was asked for.
    pub fn orders(&self) -> usize {
        self.log.so_far().iter().filter(|line| line.contains("Added order")).count()
    }

    /// A client that trusts the certificates it gives.
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
    /// Waits until both ports are open; false when the process ended instead, because somebody else has one.
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
