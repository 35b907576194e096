//! A gate in front of a recording registry, for one user with one password.

use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::error::Error;
use std::fs::Permissions;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use std::{env, fs, io, process};

use http::Method;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex, split};
use tokio::net::UnixListener;
use tokio::runtime::{Builder, LocalOptions, LocalRuntime};
use tokio::task::spawn_local;
use tokio::time::timeout;

use super::recording_registry::{self, Seen};
use super::strict_http::Head;
use crate::auth::Verifier;
use crate::body::{FairQueue, Flow, backlog};
use crate::config::Config;
use crate::gate::{Gate, Peer, handle};
use crate::log::access::AccessLog;
use crate::log::audit::AuditLog;
use crate::metrics::TlsSession;
use crate::state::{Shared, State};
use crate::upstream::Upstream;

/// Longer than any request takes: the registry answers at once, and the client ends its side.
const HANGS: Duration = Duration::from_secs(10);

/// Connections after whose end the registry may still read what came over them.
const LATE: usize = 16;

/// The CA of the clients' certificates, and its list of what is revoked: the serial number 5.
const CLIENT_CA: &str = include_str!("door/clients.pem");
const REVOKED: &str = include_str!("door/clients.crl");

/// The gate and what it runs in.
pub(super) struct Door {
    _folder: Folder,
    runtime: LocalRuntime,
    gate: Rc<Gate>,
    turns: Rc<FairQueue>,
    seen: Seen,
    /// How many connections there were.
    turn: Cell<u32>,
}

/// What happened to the bytes of one connection.
pub(super) struct Exchange {
    pub(super) client: IpAddr,
    /// Method and path of the requests that hyper has read.
    pub(super) asked: Vec<(Method, String)>,
    /// All that the client got.
    pub(super) answered: Vec<u8>,
    /// The requests at the registry.
    pub(super) seen: Vec<Result<Head, String>>,
}

impl Door {
    /// Alice may do everything in `team`, with the password `secret`. At `clients.example`, a
    /// certificate is needed.
    pub(super) fn open() -> Result<Door, Box<dyn Error>> {
        let folder = Folder::new()?;
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new(["door.example".to_owned()])?.self_signed(&key)?;
        folder.write("tls.crt", &certificate.pem())?;
        folder.write("tls.pem", &key.serialize_pem())?;
        folder.write("clients.pem", CLIENT_CA)?;
        folder.write("clients.crl", REVOKED)?;
        folder.write("htpasswd", &format!("alice:{}\n", bcrypt::hash("secret", 4)?))?;
        let text = "[server]\nthreads = 1\n[tls]\ncertificate = 'tls.crt'\nkey = 'tls.pem'\n\
                    [tls.client]\nverify = 'required'\nca = 'clients.pem'\ncrl = ['clients.crl']\n\
                    names = ['clients.example']\n\
                    [auth]\nhtpasswd = 'htpasswd'\nhash_threads = 1\n[auth.throttle]\nfailures = 0\n\
                    [log]\naccess = 'off'\n[upstream]\nservers = ['unix:{registry}']\n\
                    [[access]]\nusers = ['alice']\nrepositories = ['team/**']\nactions = ['*']\n";
        let registry = folder.0.join("registry");
        let path =
            folder.write("proxy.toml", &text.replace("{registry}", &registry.display().to_string()))?;
        let config = Config::load(&path).map_err(|problems| problems.to_string())?;
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        let state = State::build(config, None).map_err(|problems| problems.to_string())?;
        let seen = Seen::default();
        let (gate, turns) = runtime.block_on(async {
            let listener = UnixListener::bind(registry)?;
            spawn_local(recording_registry::serve(listener, seen.clone()));
            let verifier = Verifier::new(&state.config.auth)?;
            let (access, audit) =
                (AccessLog::open(&state.config.log)?, AuditLog::open(&state.config.log, None)?);
            let shared = Arc::new(Shared::new(state, verifier, access, audit, None));
            let counts = shared.metrics.of_worker(0);
            let upstream = Rc::new(Upstream::new(1, &counts, shared.connections_wanted.clone()));
            let turns = Rc::new(FairQueue::new(counts));
            let giving = turns.clone();
            spawn_local(async move { giving.give().await });
            Ok::<_, Box<dyn Error>>((Rc::new(Gate::new(shared, upstream, 1)), turns))
        })?;
        Ok(Door { _folder: folder, runtime, gate, turns, seen, turn: Cell::default() })
    }

    /// The settings.
    pub(super) fn state(&self) -> Arc<State> {
        self.gate.shared.state().clone()
    }

    /// Whether a request came over one of the connections before this one.
    fn is_of_earlier(&self, head: &Head) -> bool {
        let [from] = head.values("x-forwarded-for")[..] else { return false };
        let from = from.parse().ok();
        (1..self.turn.get()).rev().take(LATE).any(|turn| from == Some(client(turn)))
    }

    /// Sends `bytes` over a connection of their own. `None` if it never ends.
    pub(super) fn send(&self, bytes: &[u8]) -> Option<Exchange> {
        self.turn.set(self.turn.get() + 1);
        let client = client(self.turn.get());
        let tls = TlsSession::Tls13Full;
        let peer = Rc::new(Peer {
            address: client,
            client,
            may_forward: false,
            tls,
            asked: false,
            shown: None,
            polls: Cell::default(),
            proof: RefCell::default(),
            name_alone: RefCell::default(),
        });
        let asked = RefCell::new(Vec::new());
        let mut answered = Vec::new();
        let shared = backlog::Connection::new(false);
        let service = service_fn(|request| {
            asked.borrow_mut().push((request.method().clone(), request.uri().path().to_owned()));
            let flow = Rc::new(Flow::of_connection(self.turns.clone(), &shared, None));
            let (gate, peer) = (self.gate.clone(), peer.clone());
            async move { Ok::<_, Infallible>(handle(&gate, &peer, request, flow, ()).await) }
        });
        let conversation = async {
            let (server, client) = duplex(64 * 1024);
            let serving = http1::Builder::new()
                .half_close(true)
                .header_read_timeout(None)
                .title_case_headers(true)
                .serve_connection(TokioIo::new(server), service);
            let (mut receiving, mut sending) = split(client);
            let sent = async {
                // The server may close before it has read everything.
                _ = sending.write_all(bytes).await;
                _ = sending.shutdown().await;
            };
            let (_, (), _) = tokio::join!(serving, sent, receiving.read_to_end(&mut answered));
        };
        self.runtime.block_on(async { timeout(HANGS, conversation).await }).ok()?;
        // The registry reads a request that was broken off only when it has its turn, which may be
        // after the end of that connection.
        let mut seen = self.seen.take();
        seen.retain(|head| head.as_ref().map_or(true, |head| !self.is_of_earlier(head)));
        Some(Exchange { client, asked: asked.into_inner(), answered, seen })
    }
}

/// The address of the client of a connection.
fn client(turn: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(Ipv4Addr::new(10, 0, 0, 0).to_bits() + turn % (1 << 24)))
}

/// A temporary folder.
struct Folder(PathBuf);

impl Folder {
    fn new() -> io::Result<Folder> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let name = format!("tidegate-fuzz-{}-{}", process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder)?;
        Ok(Folder(folder))
    }

    fn write(&self, name: &str, text: &str) -> io::Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        _ = fs::remove_dir_all(&self.0);
    }
}
