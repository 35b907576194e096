//! One question to a server, for `tidegate check --upstream` and the checks of its health.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, LOCATION};
use http::{HeaderName, StatusCode};
use rustls::{CertificateError, Error, OtherError};
use tokio::runtime::{Builder, LocalOptions};
use tokio::time::timeout;

use crate::config::{ServerAddress, UpstreamAuthorization};
use crate::engine::Engine;
use crate::state::State;
use crate::upstream::{
    Endpoint, FaultKind, Probed, Registry, Server, UpstreamError, UpstreamFault, look_up, probe,
};

/// Nobody waits for `upstream.read_timeout`, 15 minutes by default, at a terminal.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks every server of all registries, at each of its addresses, within `upstream.connect_timeout`
/// and 30 s. Returns what each answered, as a sentence, or why clients could not use it and what to
/// do.
pub(crate) fn ask(state: &State) -> Vec<Result<String, String>> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return vec![Err(format!("the system refuses: {error}"))],
    };
    let answers = runtime.block_on(async {
        let mut answers = Vec::new();
        for server in &state.routes.servers() {
            let Some(registry) = state.routes.registry_of(server) else { continue };
            let outcome = ask_server(registry, server).await;
            let name = &server.name;
            answers.push(outcome.map(|it| format!("{name}: {it}")).map_err(|why| format!("{name}: {why}")));
        }
        answers
    });
    // Does not wait for a name lookup.
    runtime.shutdown_background();
    answers
}

/// Connects to the engine of `[shared]`, if there is one: what to say about it.
pub(crate) fn ask_engine(state: &State) -> Option<Result<String, String>> {
    let url = state.config.shared.url.as_ref()?;
    let engine = Engine::new(&state.config.shared).ok().flatten()?;
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).ok()?;
    let answer = runtime.block_on(engine.probe());
    // Does not wait for a name lookup.
    runtime.shutdown_background();
    Some(answer.map(|()| format!("{url}: it can be used")).map_err(|why| format!("{url}: {why}")))
}

/// The answer of the first address that gives one, or what is wrong with one that fails.
async fn ask_server(registry: &Registry, server: &Arc<Server>) -> Result<String, String> {
    if let Some((host, port)) = server.host() {
        let found = timeout(registry.connect_timeout, look_up(host, port)).await;
        let found = found.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()));
        if let Err(error) = &found {
            let name = UpstreamError::Name(io::Error::other(error.to_string()));
            return Err(unreachable(&name, registry, &server.address).detail);
        }
        server.looked_up(found);
    }
    let endpoints = server.endpoints();
    // Of the IPv4 and the IPv6 address of one machine, one that answers is enough.
    let needs_all = endpoints.len() > 1 && registry.has_choice();
    let mut answer = Err("it has no address".to_owned());
    for endpoint in endpoints.iter() {
        let Some(probed) = question(registry, server, endpoint, PATIENCE).await else { continue };
        match probed.and_then(|probed| judge(&probed, registry, server)) {
            Ok(what) => answer = answer.or(Ok(what)),
            Err(fault) if needs_all => return Err(format!("at {}: {}", endpoint.address, fault.detail)),
            Err(fault) => answer = answer.map_err(|_| fault.detail),
        }
    }
    answer
}

/// Whether a check of one address passes, see [`question`]. Among several, one that asks for
/// credentials is as good as the others: it runs, and so its 401 is no reason to go elsewhere.
pub(crate) async fn check(
    registry: &Registry,
    server: &Server,
    endpoint: &Endpoint,
    patience: Duration,
) -> Option<Result<(), UpstreamFault>> {
    let probed = question(registry, server, endpoint, patience).await?;
    Some(probed.and_then(|probed| match probed.status {
        StatusCode::UNAUTHORIZED if registry.has_choice() => Ok(()),
        _ => judge(&probed, registry, server).map(drop),
    }))
}

/// Asks one address for `health_path` over a new connection, within `upstream.connect_timeout` for
/// the connection and `patience` for each of connection and answer. `None` if all of
/// `upstream.connections` are in use.
///
/// # Errors
/// Why there is no answer.
async fn question(
    registry: &Registry,
    server: &Server,
    endpoint: &Endpoint,
    patience: Duration,
) -> Option<Result<Probed, UpstreamFault>> {
    let probed = probe(registry, server, endpoint, patience).await?;
    Some(probed.map_err(|error| unreachable(&error, registry, &server.address)))
}

/// Whether a registry answers so. The fault says what the answer means and what to do.
fn judge(probed: &Probed, registry: &Registry, server: &Server) -> Result<String, UpstreamFault> {
    let field =
        |name: HeaderName| probed.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_page = field(CONTENT_TYPE).to_ascii_lowercase().starts_with("text/html");
    let answers = format!("answers GET {}{} with {}", registry.path, registry.health_path, probed.status);
    let section = registry.section;
    let why = match probed.status {
        StatusCode::OK if is_page => {
            format!("this is a web page, not a registry; correct {section}.servers")
        }
        StatusCode::OK => return Ok(answers),
        StatusCode::UNAUTHORIZED if registry.login.is_some() => {
            format!("it rejects the login; correct {section}.user and the content of {section}.password_file")
        }
        StatusCode::UNAUTHORIZED if registry.authorization == UpstreamAuthorization::Pass => {
            return Ok(answers);
        }
        StatusCode::UNAUTHORIZED => {
            format!(
                "it asks for credentials of its own; remove `auth:` from its settings, or set {section}.authorization: \
                 \"basic\" if it wants a user and a password, \"pass\" if it verifies tokens"
            )
        }
        StatusCode::TOO_MANY_REQUESTS => "the registry is busy; try again later".to_owned(),
        StatusCode::NOT_FOUND => format!("the API of a registry is not here; correct {section}.servers"),
        StatusCode::BAD_REQUEST if server.tls.is_none() => {
            format!("if the registry speaks TLS, write https:// in {section}.servers")
        }
        status if status.is_redirection() => {
            let location = field(LOCATION);
            match location.split_once("/v2").map_or(location, |(before, _)| before) {
                address if address.contains("://") => {
                    format!("it points to {location:?}; write {address:?} in {section}.servers")
                }
                _ => format!("it points to {location:?}, not to a registry; correct {section}.servers"),
            }
        }
        status if status.is_server_error() => "the registry has failed; see its log".to_owned(),
        _ => format!("a registry answers with 200; correct {section}.servers"),
    };
    Err(UpstreamFault {
        brief: format!("it answers with {}", probed.status),
        detail: format!("{answers}: {why}"),
        kind: FaultKind::Answer,
    })
}

fn unreachable(error: &UpstreamError, registry: &Registry, server: &ServerAddress) -> UpstreamFault {
    let section = registry.section;
    let advice = match (error, server) {
        (UpstreamError::Tls(cause), _) if cause.kind() == ErrorKind::InvalidData => {
            tls_advice(cause, section)
        }
        (UpstreamError::Name(_) | UpstreamError::Connect(_) | UpstreamError::ConnectTimeout, _) => {
            format!("; start the registry, or correct {section}.servers")
        }
        (UpstreamError::Silent, _) => {
            format!("; see whether the registry is stuck, or correct {section}.servers")
        }
        (UpstreamError::Closed(_) | UpstreamError::NotHttp(_), ServerAddress::Tcp { tls: false, .. }) => {
            format!("; if the registry speaks TLS, write https:// in {section}.servers")
        }
        _ => String::new(),
    };
    let fault = UpstreamFault::of_error(error);
    UpstreamFault { detail: format!("{}{advice}", fault.detail), ..fault }
}

/// What to do about a TLS handshake that failed.
fn tls_advice(cause: &io::Error, section: &str) -> String {
    match cause.get_ref().and_then(|cause| cause.downcast_ref()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            format!("; name the CA of its certificate in {section}.ca")
        }
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(other))))
            if other.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            format!(
                "; its certificate is a CA's, as `openssl req -x509` makes it; give the registry one that a CA has \
             signed, such as that of `tidegate cert server`, and name the CA in {section}.ca"
            )
        }
        Some(Error::InvalidCertificate(_)) => {
            "; give the registry a certificate that is valid for this host".to_owned()
        }
        _ => format!("; if the registry does not speak TLS, write http:// in {section}.servers"),
    }
}
