//! The registry: servers with the same repositories, and what is sent to them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};

use super::endpoint::{Address, Endpoint};
use super::health::Standing;
use super::server::{Server, Tls};
use crate::config::{self, Balance, ServerAddress, UpstreamAuthorization};
use crate::disk;
use crate::header::authority::Authority;
use crate::header::location::Place;
use crate::pki::SystemRoots;
use crate::problem::{Problem, Problems};

/// Where a registry is, how its servers share the work, and how long they may take.
#[derive(Debug)]
pub(crate) struct Registry {
    /// The section of the settings that it comes from, for messages.
    pub section: &'static str,
    pub servers: Vec<Arc<Server>>,
    /// Their hosts and ports.
    authorities: Vec<Authority>,
    /// Its servers, as status and metrics show them.
    pub name: Arc<str>,
    pub balance: Balance,
    /// Whether each server has what the others have.
    pub shared_storage: bool,
    /// What its paths begin with, before `/v2/`.
    pub path: String,
    /// The `Host` that it gets instead of the client's.
    pub host: Option<Authority>,
    /// For connect and TLS handshake together, and for the wait for a free connection.
    pub connect_timeout: Duration,
    /// Longest silence: after the request, and between two parts of the answer.
    pub read_timeout: Duration,
    /// The `Authorization` field that it gets.
    pub authorization: UpstreamAuthorization,
    /// The `Authorization` of every request, if `upstream.authorization` is `basic`.
    pub login: Option<HeaderValue>,
    /// What a check asks for, below `path`.
    pub health_path: String,
    /// Between two checks; zero means that only what is down is checked.
    pub health_every: Duration,
    /// Between two look-ups of a name.
    pub resolve_every: Duration,
}

impl Registry {
    /// Reads `ca` and `password_file` of the `section` with these `settings`. Servers among `known`
    /// that have not changed are kept, and with them their connections and their health. `workers`
    /// is the number of worker threads.
    ///
    /// # Errors
    /// Those of [`client_config`](crate::pki::client_config). The password is missing, or others
    /// can read it.
    pub(crate) fn build(
        section: &'static str,
        settings: &config::Upstream,
        system: &SystemRoots,
        known: &[Arc<Server>],
        workers: usize,
    ) -> Result<Self, Problems> {
        let is_https = |server: &ServerAddress| matches!(server, ServerAddress::Tcp { tls: true, .. });
        let tls = if settings.servers.iter().any(is_https) {
            let before = known.iter().filter_map(|server| server.tls.clone());
            Some(Tls::build(&format!("{section}.ca"), settings.ca.as_deref(), system, before)?)
        } else {
            None
        };
        let servers = settings.servers.iter().map(|address| {
            let tls = tls.as_ref().filter(|_| is_https(address));
            let same = known.iter().find(|server| server.is(address, tls, settings.connections));
            same.cloned().unwrap_or_else(|| {
                let new = Server::new(address, tls.cloned(), settings.connections, workers);
                let before = known.iter().find(|server| server.is_named && server.address == *address);
                Arc::new(match before {
                    Some(before) => new.starting_as(before),
                    None => new,
                })
            })
        });
        let authorities = settings.servers.iter().map(|server| server.authority().to_string());
        let names: Vec<_> = settings.servers.iter().map(ToString::to_string).collect();
        Ok(Self {
            section,
            servers: servers.collect(),
            authorities: authorities.filter_map(|text| Authority::of_host_and_port(&text)).collect(),
            name: names.join(", ").into(),
            balance: settings.balance,
            shared_storage: settings.shared_storage,
            path: settings.path.clone(),
            host: settings.host.as_deref().and_then(Authority::of_host_and_port),
            connect_timeout: settings.connect_timeout,
            read_timeout: settings.read_timeout,
            authorization: settings.authorization,
            login: login(settings)?,
            health_path: settings.health_path.clone(),
            health_every: settings.health_every,
            resolve_every: settings.resolve_every,
        })
    }

    /// The registry's names for itself, as they stand in its answers.
    pub(crate) fn place(&self) -> Place<'_> {
        let named = self.host.as_ref().map(Authority::host_port);
        Place { servers: &self.authorities, named, path: &self.path }
    }

    /// What is known of it: up if one of its servers is.
    pub(crate) fn standing(&self) -> Option<Standing> {
        Standing::of_all(self.servers.iter().map(|server| server.standing()))
    }

    /// Whether every repository is at one server only.
    pub(crate) fn is_parted(&self) -> bool {
        self.balance == Balance::Hash && !self.shared_storage && self.servers.len() > 1
    }

    /// Whether requests can go elsewhere when an address fails. The IPv4 and the IPv6 address of
    /// one name are taken for one machine.
    pub(crate) fn has_choice(&self) -> bool {
        let is_v4 = |endpoint: &Arc<Endpoint>| match &endpoint.address {
            Address::Tcp(address) => address.is_ipv4(),
            Address::Unix(_) => false,
        };
        self.servers.len() > 1
            || self.servers.iter().any(|server| {
                let all = server.endpoints();
                let v4 = all.iter().filter(|endpoint| is_v4(endpoint)).count();
                v4 > 1 || all.len() - v4 > 1
            })
    }

    /// Completes a request for `/v2/...` with the path and the host of this registry.
    pub(super) fn address<B>(&self, request: &mut Request<B>) -> Result<(), http::Error> {
        if let Some(host) = &self.host {
            request.headers_mut().insert(HOST, host.field().clone());
        }
        if !self.path.is_empty() {
            let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
            *request.uri_mut() = Uri::try_from(format!("{}{target}", self.path))?;
        }
        Ok(())
    }
}

/// The `Authorization` of `basic`, which is not printed.
fn login(settings: &config::Upstream) -> Result<Option<HeaderValue>, Problem> {
    let (config::UpstreamAuthorization::Basic, Some(user), Some(path)) =
        (settings.authorization, &settings.user, &settings.password_file)
    else {
        return Ok(None);
    };
    let password = disk::password(path)?;
    let encoded = STANDARD.encode([user.as_bytes(), b":", password.expose()].concat());
    let mut field = HeaderValue::try_from(format!("Basic {encoded}"))
        .map_err(|_| Problem::at(path, "holds a password that is too long for a header"))?;
    field.set_sensitive(true);
    Ok(Some(field))
}
