//! What the process knows: one immutable view of everything that can be reloaded, and beside it
//! what outlives a reload.

mod tag_locks;
mod unmatched_users;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use http::HeaderValue;
use time::OffsetDateTime;
use tokio::sync::Semaphore;

use crate::access::Rules;
use crate::acme;
use crate::auth::{self, Htpasswd, Throttle, Verifier};
use crate::config::{AuthMode, ClientCertificate, Config, ServerAddress, Verify};
use crate::disk::Mode;
use crate::header::challenge;
use crate::live_file::LiveFile;
use crate::log::access::AccessLog;
use crate::pki::{self, RenewedBy};
use crate::problem::{Problem, Problems};
use crate::tls::{self, ServerTls, TlsFiles};
use crate::token::Tokens;
use crate::upstream::Destination;

pub(crate) use tag_locks::{TagLock, TagLocks};

/// Distribution goes through all its folders for each page of its catalog.
const CATALOG_READERS: usize = 2;

/// Everything made of the settings and the files they name. Never changed, only replaced.
pub(crate) struct State {
    /// The settings.
    pub config: Config,
    /// The users; none when `auth.mode` is `off`.
    pub users: Option<LiveFile<Htpasswd>>,
    /// What gives and takes tokens, when `auth.mode` is `token`.
    pub tokens: Option<Tokens>,
    /// Who may do what.
    pub rules: Rules,
    /// The `WWW-Authenticate` of a 401 that asks for user and password.
    pub challenge: Option<HeaderValue>,
    /// The TLS configuration of new connections.
    pub tls: ServerTls,
    /// Where requests go.
    pub destination: Destination,
    /// What is not wrong but will be, or may be meant otherwise.
    pub warnings: Vec<Problem>,
}

impl State {
    /// Reads every file that the settings name. Fails with all that is wrong at once. What TLS and tokens keep over a reload comes
    /// from the state `before`.
    pub(crate) fn build(config: Config, before: Option<&State>) -> Result<State, Problems> {
        let mut problems = Problems::default();
        let now = OffsetDateTime::now_utc();
        let tls_before = before.map(|before| &before.tls);
        let files = problems.take(TlsFiles::read(&config.tls, now));
        let certificates = match &config.acme {
            Some(acme) => {
                let served = tls_before.map(|before| before.identities.as_slice()).unwrap_or_default();
                acme::serve(acme, served, now)
            }
            None => pki::load(&config.tls.certificates, RenewedBy::Operator, now),
        };
        let certificates = problems.take(certificates);
        let tls = files.zip(certificates).and_then(|(files, (identities, warnings))| {
            let tls = tls::server(&config.tls, files, identities, &config.server.names, tls_before);
            problems.take(tls.map(|tls| (tls, warnings)))
        });
        let tokens = match config.auth.mode {
            AuthMode::Off | AuthMode::Basic => None,
            AuthMode::Token => {
                let before = before.and_then(|before| before.tokens.as_ref());
                problems.take(Tokens::build(&config.token, before))
            }
        };
        let users = match config.auth.mode {
            AuthMode::Off => None,
            AuthMode::Basic | AuthMode::Token => {
                problems.take(auth::open(&config.auth.htpasswd, config.auth.legacy_hashes))
            }
        };
        let client = match &config.upstream.server {
            ServerAddress::Tcp { tls: true, .. } => {
                let client = pki::client_config(config.upstream.ca.as_deref(), "upstream.ca", &[b"http/1.1"]);
                problems.take(client.map(Arc::new))
            }
            ServerAddress::Tcp { .. } | ServerAddress::Unix(_) => None,
        };
        let Some((mut tls, mut tls_warnings)) = tls.filter(|_| problems.0.is_empty()) else {
            return Err(problems);
        };
        let destination = Destination {
            server: config.upstream.server.clone(),
            tls: client,
            connect_timeout: config.upstream.connect_timeout,
            read_timeout: config.upstream.read_timeout,
        };
        let mut warnings = config.warnings.clone();
        warnings.append(&mut tls_warnings);
        warnings.append(&mut tls.warnings);
        if users.is_some() && Mode::at(&config.auth.htpasswd).is_ok_and(Mode::is_readable_by_others) {
            warnings.push(readable(&config.auth.htpasswd));
        }
        warnings.extend(open_to_others(&config));
        warnings.extend(unmatched_users::meant(&config, users.as_ref().map(LiveFile::current).as_deref()));
        warnings.extend(tokens.iter().flat_map(Tokens::warnings));
        Ok(State {
            challenge: challenge::basic(&config.auth.realm),
            rules: Rules::new(&config),
            users,
            tokens,
            tls,
            destination,
            warnings,
            config,
        })
    }
}

/// Where client certificates are for some host names only, the others should be meant to go without.
fn open_to_others(config: &Config) -> Option<Problem> {
    let client = &config.tls.client;
    let served = &config.server.names;
    let all_covered = !served.is_empty() && served.iter().all(|name| client.names.contains(name));
    let needs = match (config.auth.mode, config.auth.client_certificate) {
        (AuthMode::Off, _) => "neither certificate nor password",
        (_, ClientCertificate::Both) => "a password and no certificate",
        (_, ClientCertificate::Either) => return None,
    };
    if client.verify == Verify::Optional && config.auth.mode == AuthMode::Off {
        let message = "\"optional\" beside auth.mode = \"off\" lets in everybody, with a certificate or without; write \
                       \"required\", or auth.mode = \"basic\"";
        return Some(Problem::new("tls.client.verify", message));
    }
    let is_open = client.verify != Verify::Off && !client.names.is_empty() && !all_covered;
    is_open.then(|| {
        let message = format!(
            "who uses another host name reaches the same registry with {needs}; leave it out to ask for certificates always, \
             or keep other names out with server.names"
        );
        Problem::new("tls.client.names", message)
    })
}

fn readable(htpasswd: &Path) -> Problem {
    let message =
        format!("every user of this machine can read the hashes; run `chmod o-r {}`", htpasswd.display());
    Problem::at(htpasswd, message)
}

/// What all cores share.
pub(crate) struct Shared {
    state: ArcSwap<State>,
    /// Checks passwords; keeps what it has verified over a reload.
    pub verifier: Verifier,
    /// Limits how often somebody may be wrong.
    pub throttle: Throttle,
    /// Where the lines about requests go.
    pub access_log: AccessLog,
    /// Immutable tags that are being pushed or deleted.
    pub tag_locks: Arc<TagLocks>,
    /// Places for those for whom the registry's whole catalog may have to be read.
    pub catalog_readers: Semaphore,
    requests: AtomicU64,
}

impl Shared {
    /// Puts together what the process starts with.
    pub(crate) fn new(state: State, verifier: Verifier, access_log: AccessLog) -> Self {
        let state = ArcSwap::from_pointee(state);
        Self {
            state,
            throttle: verifier.throttle().clone(),
            verifier,
            access_log,
            tag_locks: Arc::default(),
            catalog_readers: Semaphore::new(CATALOG_READERS),
            requests: AtomicU64::new(0),
        }
    }

    /// The state of this moment. A request takes it once and keeps to it.
    pub(crate) fn state(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Puts a new state in the place of the old one; requests under way keep theirs.
    pub(crate) fn replace(&self, state: State) {
        self.throttle.set(state.config.auth.throttle);
        self.state.store(Arc::new(state));
    }

    /// A number for a request, unique in this process.
    pub(crate) fn next_request(&self) -> u64 {
        self.requests.fetch_add(1, Ordering::Relaxed)
    }
}
