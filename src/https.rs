//! The HTTPS client for services beside the registry, such as an ACME directory. Every wait and
//! every answer has a limit.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::lookup_host;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::dial::dial;
use crate::pki::{SystemRoots, client_config};
use crate::problem::Problems;

const PORT: u16 = 443;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client for HTTP/1.1 over TLS. It opens a connection for each request, so that no request fails
/// on one that the server has just closed; TLS sessions are resumed. It does not follow redirects.
#[derive(Clone)]
pub(crate) struct HttpsClient {
    tls: Arc<ClientConfig>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    /// For TCP to all addresses of the host together, each of which gets an equal share.
    connect: Duration,
    /// For a whole request: name lookup, connection, TLS handshake, and the last byte of the
    /// answer.
    total: Duration,
    /// For the body of an answer, in bytes.
    body: usize,
}

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(10), total: Duration::from_secs(30), body: 1 << 20 };

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HttpsError {
    #[error("{0} is not an https URL")]
    NotHttps(Uri),
    #[error("{0} cannot be resolved")]
    Lookup(String, #[source] io::Error),
    #[error("{0} cannot be reached")]
    Connect(String, #[source] io::Error),
    #[error("{0} fails the TLS handshake")]
    Handshake(String, #[source] io::Error),
    #[error("the connection broke")]
    Broken(#[source] BoxError),
    #[error("it did not answer within {} s", .0.as_secs())]
    Late(Duration),
    #[error("its answer is longer than {0} bytes")]
    TooLong(usize),
}

impl HttpsClient {
    /// A client that trusts the certificates in the PEM file `ca`, or the roots of `system` if no
    /// file is given. `key` is the key of the settings that names the file.
    ///
    /// # Errors
    /// The roots cannot be read; see [`client_config`].
    pub(crate) fn new(ca: Option<&Path>, key: &str, system: &SystemRoots) -> Result<Self, Problems> {
        // HTTP/1.1 needs no ALPN.
        let tls = Arc::new(client_config(ca, key, system, &[])?);
        Ok(Self { tls, limits: LIMITS })
    }

    /// The same client with other limits: `total` for a whole request, and `body` bytes for the
    /// body of an answer.
    pub(crate) fn with_limits(self, total: Duration, body: usize) -> Self {
        Self { limits: Limits { total, body, ..self.limits }, ..self }
    }

    /// Sends a request to an absolute `https` URL and reads the whole answer, whatever its status.
    pub(crate) async fn send<B>(&self, request: Request<B>) -> Result<Response<Bytes>, HttpsError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let limit = self.limits.total;
        timeout(limit, self.exchange(request)).await.map_err(|_elapsed| HttpsError::Late(limit))?
    }

    async fn exchange<B>(&self, mut request: Request<B>) -> Result<Response<Bytes>, HttpsError>
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        let Target { host, port } = prepare(&mut request)?;
        let addresses = lookup_host((host.as_str(), port))
            .await
            .map_err(|error| HttpsError::Lookup(host.clone(), error))?;
        let tcp = dial(addresses, self.limits.connect)
            .await
            .map_err(|error| HttpsError::Connect(host.clone(), error))?;
        let name = ServerName::try_from(host.clone())
            .map_err(|error| HttpsError::Handshake(host.clone(), io::Error::other(error)))?;
        let tls = TlsConnector::from(self.tls.clone())
            .connect(name, tcp)
            .await
            .map_err(|error| HttpsError::Handshake(host, error))?;
        let broken = |error: hyper::Error| HttpsError::Broken(error.into());
        let (mut sender, connection) = http1::handshake(TokioIo::new(tls)).await.map_err(broken)?;
        let answer = async {
            let (parts, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
            let body = Limited::new(body, self.limits.body).collect().await;
            let body = body.map_err(|error| self.unread(error))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        let mut answer = pin!(answer);
        tokio::select! {
            answered = &mut answer => answered,
            // The connection may have ended after a whole answer.
            _ended = connection => answer.await,
        }
    }

    fn unread(&self, error: BoxError) -> HttpsError {
        if error.is::<LengthLimitError>() {
            HttpsError::TooLong(self.limits.body)
        } else {
            HttpsError::Broken(error)
        }
    }
}

struct Target {
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
}

/// Turns a request for an absolute URL into one for its server.
fn prepare<B>(request: &mut Request<B>) -> Result<Target, HttpsError> {
    let uri = request.uri().clone();
    let Some(authority) = uri.authority().filter(|_| uri.scheme() == Some(&Scheme::HTTPS)) else {
        return Err(HttpsError::NotHttps(uri));
    };
    // The Host header has no user information (RFC 9112 section 3.2).
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let (Ok(header), Ok(path)) = (HeaderValue::try_from(host_and_port), path.parse()) else {
        return Err(HttpsError::NotHttps(uri));
    };
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let target = Target { host: host.to_owned(), port: authority.port_u16().unwrap_or(PORT) };
    *request.uri_mut() = path;
    request.headers_mut().insert(HOST, header);
    request.headers_mut().insert(USER_AGENT, AGENT);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    Ok(target)
}

#[cfg(test)]
mod tests;
