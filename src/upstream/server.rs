//! The registry's server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::HOST;
use http::{HeaderValue, Request, Uri};
use rustls::ClientConfig;
use rustls::pki_types::TrustAnchor;

use crate::config::{self, ServerAddress};
use crate::disk;
use crate::header::authority::Authority;
use crate::header::location::Place;
use crate::pki::{SystemRoots, client_trusting, roots};
use crate::problem::{Problem, Problems};
use crate::secret::Secret;

/// Where the registry is, and how long it may take.
#[derive(Clone, Debug)]
pub(crate) struct Destination {
    /// The address as configured.
    pub server: ServerAddress,
    /// The same as the access log shows it.
    pub name: String,
    /// What its paths begin with, before `/v2/`.
    pub path: String,
    /// The `Host` that it gets instead of the client's.
    pub host: Option<Authority>,
    /// For `https://`.
    pub tls: Option<Tls>,
    /// For name lookup, connect and TLS handshake together.
    pub connect_timeout: Duration,
    /// Longest silence: after the request, and between two parts of the answer.
    pub read_timeout: Duration,
    /// The `Authorization` of every request, if `upstream.authorization` is `basic`.
    pub login: Option<HeaderValue>,
}

/// How the registry is verified.
#[derive(Clone, Debug)]
pub(crate) struct Tls {
    pub config: Arc<ClientConfig>,
    pub roots: Vec<TrustAnchor<'static>>,
}

impl Destination {
    /// Reads `upstream.ca` and `upstream.password_file`. If the roots are those of `before`, its
    /// TLS configuration is kept, and with it the idle connections.
    ///
    /// # Errors
    /// Those of [`client_config`](crate::pki::client_config). The password is missing, or others
    /// can read it.
    pub(crate) fn build(
        settings: &config::Upstream,
        system: &SystemRoots,
        before: Option<&Destination>,
    ) -> Result<Self, Problems> {
        let tls = match &settings.server {
            ServerAddress::Tcp { tls: true, .. } => {
                let known = before.and_then(|before| before.tls.as_ref());
                Some(Tls::build(settings, system, known)?)
            }
            ServerAddress::Tcp { .. } | ServerAddress::Unix(_) => None,
        };
        Ok(Self {
            server: settings.server.clone(),
            name: settings.server.to_string(),
            path: settings.path.clone(),
            host: settings.host.as_deref().and_then(Authority::of_host_and_port),
            tls,
            connect_timeout: settings.connect_timeout,
            read_timeout: settings.read_timeout,
            login: login(settings)?,
        })
    }

    /// The registry's names for itself, as they stand in its answers.
    pub(crate) fn place(&self) -> Place<'_> {
        let named = self.host.as_ref().map(Authority::host_port);
        Place { server: self.server.authority(), named, path: &self.path }
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

    /// Whether a connection made for `other` may be used for this destination: the server is the
    /// same, and was verified in the same way.
    pub(super) fn shares_connections_with(&self, other: &Destination) -> bool {
        let same_tls = match (&self.tls, &other.tls) {
            (Some(one), Some(other)) => Arc::ptr_eq(&one.config, &other.config),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        same_tls && self.server == other.server
    }
}

impl Tls {
    fn build(
        settings: &config::Upstream,
        system: &SystemRoots,
        before: Option<&Tls>,
    ) -> Result<Self, Problems> {
        let key = "upstream.ca";
        let store = roots(settings.ca.as_deref(), key, system)?;
        if let Some(same) = before.filter(|before| before.roots == store.roots) {
            return Ok(same.clone());
        }
        let roots = store.roots.clone();
        let config = Arc::new(client_trusting(store, key, &[b"http/1.1"])?);
        Ok(Self { config, roots })
    }
}

/// The `Authorization` of `basic`, which is not printed.
fn login(settings: &config::Upstream) -> Result<Option<HeaderValue>, Problem> {
    let (config::UpstreamAuthorization::Basic, Some(user), Some(path)) =
        (settings.authorization, &settings.user, &settings.password_file)
    else {
        return Ok(None);
    };
    let password = password(path)?;
    let encoded = STANDARD.encode([user.as_bytes(), b":", password.expose()].concat());
    let mut field = HeaderValue::try_from(format!("Basic {encoded}"))
        .map_err(|_| Problem::at(path, "holds a password that is too long for a header"))?;
    field.set_sensitive(true);
    Ok(Some(field))
}

/// The only line of the file.
fn password(path: &Path) -> Result<Secret, Problem> {
    let content = disk::read(path, disk::SMALL)
        .map_err(|error| Problem::at(path, format!("cannot be read: {error}")))?;
    if let Some(message) = content.mode.exposed("is a password") {
        return Err(Problem::at(path, message));
    }
    // Editors of Windows put a byte order mark before UTF-8.
    let bytes = content.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content.bytes);
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || line.iter().any(u8::is_ascii_control) {
        let message = "does not hold a password: write it on one line, without anything else";
        return Err(Problem::at(path, message));
    }
    Ok(Secret::new(line))
}
