//! The state of the process: an immutable view of everything that a reload replaces, and what
//! outlives a reload.

mod catalog_readers;
mod heritage;
mod reloads;
mod request_ids;
mod resolved_tags;
mod tag_leases;
mod tag_locks;
mod unmatched_users;
mod unusable_rules;
mod upload_places;
mod warned_peers;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::{ArcSwap, Guard};
use http::HeaderValue;
use time::OffsetDateTime;
use tokio::sync::watch;

use crate::access::Rules;
use crate::acme;
use crate::auth::{self, Htpasswd, Sources, Throttle, Verifier};
use crate::config::{AdminAddress, AuthMode, ClientCertificate, Config, ServerAddress, Verify};
use crate::disk::{Mode, shell_word};
use crate::engine::Engine;
use crate::header::authority::Authority;
use crate::header::challenge;
use crate::live_file::LiveFile;
use crate::log::access::AccessLog;
use crate::log::audit::AuditLog;
use crate::metrics::{Metrics, Repositories, RepositoryCounts};
use crate::pki::{self, Facts, RenewedBy, SystemRoots};
use crate::problem::{Problem, Problems};
use crate::registry::pattern::Pattern;
use crate::routes::Routes;
use crate::tls::{self, ServerTls, TlsFiles};
use crate::token::{SharedRevoked, Tokens};

pub(crate) use catalog_readers::{CatalogPlace, CatalogReaders};
pub(crate) use heritage::Heritage;
pub(crate) use reloads::Reloads;
use request_ids::RequestIds;
pub(crate) use resolved_tags::{ResolvedTags, Told};
pub(crate) use tag_leases::NotLeased;
pub(crate) use tag_locks::{TagLock, TagLocks};
pub(crate) use unusable_rules::without_host;
pub(crate) use upload_places::UploadPlaces;
pub(crate) use warned_peers::WarnedPeers;

/// Everything made from the settings and the files they name. It is never changed, only replaced.
pub(crate) struct State {
    pub config: Config,
    /// Where users come from; `None` if `auth.mode` is `off`.
    pub sources: Option<Sources>,
    /// Those who may see metrics and traffic, if `admin.htpasswd` names a file.
    pub admin_users: Option<LiveFile<Htpasswd>>,
    /// Issues and verifies tokens, if `auth.mode` is `token`.
    pub tokens: Option<Tokens>,
    pub rules: Rules,
    /// The `WWW-Authenticate` of a 401 that asks for user and password.
    pub challenge: Option<HeaderValue>,
    /// The TLS configuration of new connections.
    pub tls: ServerTls,
    /// What is counted by the patterns of `metrics.repositories`.
    pub repositories: Repositories,
    /// The registries.
    pub routes: Routes,
    /// Seals the places at which the registry continues uploads.
    pub upload_places: UploadPlaces,
    /// The host that a request without one is for: HTTP/1.0 has none.
    pub default_host: Option<Authority>,
    /// What works, but will soon fail or may not be what the operator intended.
    pub warnings: Vec<Problem>,
}

impl State {
    /// Reads every file that the settings name. TLS and tokens take over from the state `before`
    /// what they keep over a reload.
    ///
    /// # Errors
    /// Everything that is wrong in any of the files.
    pub(crate) fn build(config: Config, before: Option<&State>) -> Result<State, Problems> {
        let mut problems = Problems::default();
        let now = OffsetDateTime::now_utc();
        let system = SystemRoots::default();
        let tls_before = before.map(|before| &before.tls);
        let files = problems.take(TlsFiles::read(&config.tls, now));
        let certificates = match &config.acme {
            Some(acme) => {
                let served = tls_before.map(|before| before.certificates.as_slice()).unwrap_or_default();
                acme::serve(acme, served, &system, now)
            }
            None => {
                let is_root = |name: &[u8]| system.have(name);
                pki::load(&config.tls.certificates, RenewedBy::Operator, now, &is_root)
            }
        };
        let certificates = problems.take(certificates);
        let tls = files.zip(certificates).and_then(|(files, (certificates, warnings))| {
            let tls = tls::server(&config.tls, files, certificates, &config.server.names, tls_before);
            problems.take(tls.map(|tls| (tls, warnings)))
        });
        let tokens = match config.auth.mode {
            AuthMode::Off | AuthMode::Basic => None,
            AuthMode::Token => {
                let before = before.and_then(|before| before.tokens.as_ref());
                problems.take(Tokens::build(&config.token, before))
            }
        };
        let sources = match config.auth.mode {
            AuthMode::Off => None,
            AuthMode::Basic | AuthMode::Token => {
                let before = before.and_then(|before| before.sources.as_ref());
                let groups = config.groups_elsewhere();
                problems.take(Sources::build(&config.auth, &groups, &system, before))
            }
        };
        let admin_users = config.admin.htpasswd.as_ref();
        let admin_users =
            admin_users.and_then(|file| problems.take(auth::open(file, config.auth.legacy_hashes)));
        let workers = before.map_or(config.server.threads, |before| before.repositories.workers());
        let routes_before = before.map(|before| &before.routes);
        let routes = problems.take(Routes::build(&config, &system, routes_before, workers));
        let served = tls.zip(routes).filter(|_| problems.0.is_empty());
        let Some(((mut tls, mut tls_warnings), routes)) = served else {
            return Err(problems);
        };
        let mut warnings = config.warnings.clone();
        warnings.append(&mut tls_warnings);
        warnings.append(&mut tls.warnings);
        let users = sources.as_ref().and_then(|sources| sources.file.as_ref());
        let mut files: Vec<&Path> = users.into_iter().chain(&admin_users).map(LiveFile::path).collect();
        files.dedup();
        files.retain(|file| Mode::at(file).is_ok_and(Mode::is_readable_by_others));
        warnings.extend(files.into_iter().map(readable));
        warnings.extend(open_to_others(&config));
        warnings.extend(unserved_name(&config));
        let listed = sources.as_ref().and_then(|sources| sources.listed().ok());
        warnings.extend(unmatched_users::warnings(&config, listed.as_deref()));
        let rules = Rules::new(&config);
        let certified: Vec<String> = tls.certificates().flat_map(Facts::names).collect();
        warnings.extend(unusable_rules::warnings(&config, &rules, &certified));
        let routed = config.routes.iter().map(|route| ("route.servers", &route.upstream));
        let registries = [("upstream.servers", &config.upstream)].into_iter().chain(routed);
        let servers = registries.flat_map(|(key, one)| one.servers.iter().map(move |server| (key, server)));
        warnings.extend(servers.filter_map(|(key, server)| leads_to_itself(&config, key, server)));
        warnings.extend(tokens.iter().flat_map(Tokens::warnings));
        let places_before = before.map(|before| &before.upload_places);
        let patterns = config.metrics.repositories.iter().map(Pattern::as_str);
        let repositories = Repositories::new(patterns, workers, before.map(|before| &before.repositories));
        Ok(State {
            repositories,
            upload_places: UploadPlaces::new(tls.lasting_secret(), places_before),
            default_host: default_host(&config.server.names, &tls),
            challenge: challenge::basic(&config.auth.realm),
            rules,
            sources,
            admin_users,
            tokens,
            tls,
            routes,
            warnings,
            config,
        })
    }

    /// What is counted for `repository`: the counts of the first pattern that it matches.
    pub(crate) fn counts_of(&self, repository: &str) -> &Arc<RepositoryCounts> {
        let patterns = &self.config.metrics.repositories;
        self.repositories.at(patterns.iter().position(|pattern| pattern.fits(repository, None)))
    }
}

/// The first of `server.names`, else the first name of a certificate, else `localhost`.
fn default_host(names: &[String], tls: &ServerTls) -> Option<Authority> {
    let certified = tls.certificates().flat_map(Facts::names);
    names
        .iter()
        .cloned()
        .chain(certified)
        .chain(["localhost".to_owned()])
        .find_map(|name| Authority::of_host(&name))
}

/// Warns if a registry that asks for client certificates can be reached without one.
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
        let message = "with auth.mode = \"off\", \"optional\" lets in everybody, with or without a certificate; write \
                       \"required\", or auth.mode = \"basic\"";
        return Some(Problem::new("tls.client.verify", message));
    }
    let is_open = client.verify != Verify::Off && !client.names.is_empty() && !all_covered;
    is_open.then(|| {
        let message = format!(
            "clients that use another host name reach the same registry with {needs}; remove it to ask for certificates always, \
             or reject other names with server.names"
        );
        Problem::new("tls.client.names", message)
    })
}

/// Warns of a name for client certificates under which nothing is served.
fn unserved_name(config: &Config) -> Option<Problem> {
    let (client, served) = (&config.tls.client, &config.server.names);
    let mut names = client.names.iter().filter(|_| client.verify != Verify::Off && !served.is_empty());
    let name = names.find(|name| !served.contains(name))?;
    let message = format!("{name} is not in server.names, so requests for it get 421; add it there");
    Some(Problem::new("tls.client.names", message))
}

/// Warns if the registry's address is one that tidegate listens on.
fn leads_to_itself(config: &Config, key: &str, upstream: &ServerAddress) -> Option<Problem> {
    let server = &config.server;
    let listen = match upstream {
        ServerAddress::Unix(path) => {
            server.admin.iter().find(|own| matches!(own, AdminAddress::Unix(own) if own == path))?.to_string()
        }
        ServerAddress::Tcp { host, port, .. } => {
            let address =
                if host == "localhost" { Ipv4Addr::LOCALHOST.into() } else { host.parse::<IpAddr>().ok()? };
            let is_own = |own: &SocketAddr| {
                let is_here = |address: IpAddr| address.is_loopback() || address.is_unspecified();
                own.port() == *port && (own.ip() == address || own.ip().is_unspecified() && is_here(address))
            };
            let admin = server.admin.iter().filter_map(|own| match own {
                AdminAddress::Tcp(own) => Some(own),
                AdminAddress::Unix(_) => None,
            });
            let mut own = server.listen.iter().chain(&server.plain).chain(admin);
            own.find(|own| is_own(own))?.to_string()
        }
    };
    let message = format!(
        "{upstream} is tidegate itself, which listens on {listen}; write the address of the registry"
    );
    Some(Problem::new(key, message))
}

fn readable(htpasswd: &Path) -> Problem {
    let message =
        format!("every user of this machine can read the hashes; run `chmod o-r {}`", shell_word(htpasswd));
    Problem::at(htpasswd, message)
}

/// What all workers share.
pub(crate) struct Shared {
    state: ArcSwap<State>,
    /// Checks passwords; remembers them over a reload.
    pub verifier: Verifier,
    /// Limits failed logins.
    pub throttle: Throttle,
    pub access_log: AccessLog,
    pub audit_log: AuditLog,
    /// Whether this process is the one that gets certificates by ACME.
    pub is_acme_holder: Arc<AtomicBool>,
    /// What replicas share; `None` if this process shares nothing.
    pub engine: Option<Engine>,
    /// The logins that replicas have revoked.
    pub revocations: Option<SharedRevoked>,
    /// The tags of what clients pull by digest, for that log.
    pub resolved_tags: ResolvedTags,
    /// The immutable tags that are being pushed or deleted.
    pub tag_locks: Arc<TagLocks>,
    /// Places for requests that have the registry read its catalog.
    pub catalog_readers: Arc<CatalogReaders>,
    /// What the workers count.
    pub metrics: Metrics,
    pub reloads: Reloads,
    /// The ids of requests, in the access log and for the registry.
    pub request_ids: RequestIds,
    /// Whose connections the log has lately said to be closed for want of a PROXY header.
    pub warned_peers: WarnedPeers,
    /// Tells when the state was replaced.
    pub replaced: watch::Sender<()>,
    /// Tells the workers when a request waits for a connection.
    pub connections_wanted: watch::Sender<()>,
    draining: AtomicBool,
}

impl Shared {
    pub(crate) fn new(
        state: State,
        verifier: Verifier,
        access_log: AccessLog,
        audit_log: AuditLog,
        engine: Option<Engine>,
    ) -> Self {
        let metrics = Metrics::new(state.config.server.threads);
        share(&state, engine.as_ref());
        let state = ArcSwap::from_pointee(state);
        Self {
            state,
            metrics,
            reloads: Reloads::new(),
            throttle: verifier.throttle().clone(),
            verifier,
            access_log,
            audit_log,
            revocations: engine.as_ref().map(SharedRevoked::new),
            is_acme_holder: Arc::default(),
            resolved_tags: ResolvedTags::default(),
            tag_locks: Arc::new(TagLocks::new(engine.as_ref())),
            engine,
            catalog_readers: Arc::default(),
            request_ids: RequestIds::default(),
            warned_peers: WarnedPeers::default(),
            replaced: watch::Sender::default(),
            connections_wanted: watch::Sender::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// The current state. A request takes it once and uses it to its end.
    pub(crate) fn state(&self) -> Guard<Arc<State>> {
        self.state.load()
    }

    /// Replaces the state for new requests; running requests keep theirs.
    pub(crate) fn replace(&self, state: State) {
        self.throttle.set(state.config.auth.throttle);
        share(&state, self.engine.as_ref());
        self.state.store(Arc::new(state));
        self.replaced.send_replace(());
    }

    /// Records that the process has been asked to stop.
    pub(crate) fn begin_to_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the process has been asked to stop.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// What a new state counts together with other replicas.
fn share(state: &State, engine: Option<&Engine>) {
    if let (Some(sources), Some(engine)) = (&state.sources, engine) {
        sources.share(engine);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_for_client_certificates_that_is_not_served_is_reported() {
        let told = |names: &str, verify: &str| {
            let text = format!(
                "[server]\nnames = {names}\n[tls]\ncertificate = 'c'\nkey = 'k'\n[tls.client]\nverify = '{verify}'\nnames = \
                 ['machines.test']\n"
            );
            unserved_name(&Config::parse(Path::new("proxy.toml"), &text, &[]).unwrap())
        };
        let message = "machines.test is not in server.names, so requests for it get 421; add it there";
        let expected = Problem::new("tls.client.names", message);
        assert_eq!(told("['people.test']", "required"), Some(expected));
        assert_eq!(told("['people.test', 'Machines.test.']", "required"), None);
        assert_eq!(told("[]", "optional"), None);
        assert_eq!(told("['people.test']", "off"), None);
    }
}
