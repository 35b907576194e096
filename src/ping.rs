//! One question to the registry, for `tidegate check --upstream` and the checks of its health.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use http::{HeaderValue, Method, Request, StatusCode};
use rustls::{CertificateError, Error, OtherError};
use tokio::runtime::{Builder, LocalOptions};

use crate::access::{Caller, Identity, Permit, decide};
use crate::body::{ClientBody, FairQueue, Flow};
use crate::config::{ServerAddress, UpstreamAuthorization};
use crate::registry::target;
use crate::state::State;
use crate::upstream::{Upstream, UpstreamError, UpstreamFault};
use crate::user::User;

const PATH: &str = "/v2/";

/// Nobody waits for `upstream.read_timeout`, 15 minutes by default, at a terminal.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the registry for `/v2/`, within `upstream.connect_timeout` and 30 s. Returns what it
/// answered, as a sentence.
///
/// # Errors
/// Why clients could not use the registry, and what to do.
pub(crate) fn ask(state: &State) -> Result<String, String> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = runtime.map_err(|error| format!("the system refuses: {error}"))?;
    let outcome = runtime.block_on(question(state, PATIENCE));
    // Does not wait for a name lookup.
    runtime.shutdown_background();
    let server = &state.destination.server;
    outcome.map(|answer| format!("{server}: {answer}")).map_err(|fault| format!("{server}: {}", fault.detail))
}

/// Asks the registry for `/v2/` over a new connection, within `upstream.connect_timeout` for the
/// connection and `patience` for each of connection and answer. Returns what it answered.
///
/// # Errors
/// Why clients could not use the registry.
pub(crate) async fn question(state: &State, patience: Duration) -> Result<String, UpstreamFault> {
    let (mut request, permit, flow) =
        prepare(state).map_err(|why| UpstreamFault { brief: why.clone(), detail: why })?;
    if let Some(login) = &state.destination.login {
        request.headers_mut().insert(AUTHORIZATION, login.clone());
    }
    let mut to = state.destination.clone();
    to.connect_timeout = to.connect_timeout.min(patience);
    to.read_timeout = to.read_timeout.min(patience);
    let answer = Upstream::new(1, Arc::default()).send(&permit, &to, request, &flow).await;
    let (head, _) = answer.map_err(|error| unreachable(&error, &to.server))?.into_parts();
    let field = |name| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let answers = format!("answers GET {}{PATH} with {}", state.destination.path, head.status);
    let is_page = field(CONTENT_TYPE).to_ascii_lowercase().starts_with("text/html");
    match judge(head.status, is_page, field(LOCATION), state) {
        Ok(()) => Ok(answers),
        Err(why) => Err(UpstreamFault {
            brief: format!("it answers with {}", head.status),
            detail: format!("{answers}: {why}"),
        }),
    }
}

fn prepare(state: &State) -> Result<(Request<ClientBody>, Permit, Rc<Flow>), String> {
    let server = &state.destination.server;
    // A ping is open to every user, and the registry is not told a name.
    let identity = User::local("tidegate").map(Identity::User).map_err(|bad| bad.to_string())?;
    let ping = target::parse(&Method::GET, PATH);
    let permit = decide(&state.rules, Caller { identity, token: None }, &ping)
        .map_err(|denied| format!("{PATH} is not permitted: {denied:?}"))?;
    let flow = Rc::new(Flow::new(Rc::new(FairQueue::default())));
    let host = HeaderValue::try_from(server.authority().to_string()).map_err(|error| error.to_string())?;
    let request = Request::get(PATH)
        .header(HOST, host)
        .header(USER_AGENT, concat!("tidegate/", env!("CARGO_PKG_VERSION")))
        .body(ClientBody::empty(flow.clone()))
        .map_err(|error| error.to_string())?;
    Ok((request, permit, flow))
}

/// Whether a registry answers so. The error says what the answer means and what to do.
fn judge(status: StatusCode, is_page: bool, location: &str, state: &State) -> Result<(), String> {
    let passes = state.config.upstream.authorization == UpstreamAuthorization::Pass;
    Err(match status {
        StatusCode::OK if is_page => {
            "this is a web page, not a registry; correct upstream.servers".to_owned()
        }
        StatusCode::OK => return Ok(()),
        StatusCode::UNAUTHORIZED if passes => return Ok(()),
        StatusCode::UNAUTHORIZED if state.destination.login.is_some() => {
            "it rejects the login; correct upstream.user and the content of upstream.password_file".to_owned()
        }
        StatusCode::UNAUTHORIZED => {
            "it asks for credentials of its own; remove `auth:` from its settings, or set upstream.authorization: \
             \"basic\" if it wants a user and a password, \"pass\" if it verifies tokens"
                .to_owned()
        }
        StatusCode::TOO_MANY_REQUESTS => "the registry is busy; try again later".to_owned(),
        StatusCode::NOT_FOUND => "the API of a registry is not here; correct upstream.servers".to_owned(),
        StatusCode::BAD_REQUEST if state.destination.tls.is_none() => {
            "if the registry speaks TLS, write https:// in upstream.servers".to_owned()
        }
        status if status.is_redirection() => {
            match location.split_once("/v2").map_or(location, |(before, _)| before) {
                address if address.contains("://") => {
                    format!("it points to {location:?}; write {address:?} in upstream.servers")
                }
                _ => format!("it points to {location:?}, not to a registry; correct upstream.servers"),
            }
        }
        status if status.is_server_error() => "the registry has failed; see its log".to_owned(),
        _ => "a registry answers with 200; correct upstream.servers".to_owned(),
    })
}

fn unreachable(error: &UpstreamError, server: &ServerAddress) -> UpstreamFault {
    let advice = match (error, server) {
        (UpstreamError::Tls(cause), _) if cause.kind() == ErrorKind::InvalidData => tls_advice(cause),
        (UpstreamError::Name(_) | UpstreamError::Connect(_) | UpstreamError::ConnectTimeout, _) => {
            "; start the registry, or correct upstream.servers"
        }
        (UpstreamError::Silent, _) => "; see whether the registry is stuck, or correct upstream.servers",
        (UpstreamError::Closed(_) | UpstreamError::NotHttp(_), ServerAddress::Tcp { tls: false, .. }) => {
            "; if the registry speaks TLS, write https:// in upstream.servers"
        }
        _ => "",
    };
    let brief = match error {
        // The rest of the message names the hosts of the certificate.
        UpstreamError::Tls(_) => "no TLS".to_owned(),
        error => error.to_string(),
    };
    UpstreamFault { brief, detail: format!("{error}{advice}") }
}

/// What to do about a TLS handshake that failed.
fn tls_advice(cause: &io::Error) -> &'static str {
    match cause.get_ref().and_then(|cause| cause.downcast_ref()) {
        Some(Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "; name the CA of its certificate in upstream.ca"
        }
        Some(Error::InvalidCertificate(CertificateError::Other(OtherError(other))))
            if other.downcast_ref() == Some(&webpki::Error::CaUsedAsEndEntity) =>
        {
            "; its certificate is a CA's, as `openssl req -x509` makes it; give the registry one that a CA has \
             signed, such as that of `tidegate cert server`, and name the CA in upstream.ca"
        }
        Some(Error::InvalidCertificate(_)) => "; give the registry a certificate that is valid for this host",
        _ => "; if the registry does not speak TLS, write http:// in upstream.servers",
    }
}
