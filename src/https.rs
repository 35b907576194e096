//! The HTTPS client for services beside the registry, such as an ACME directory. Every wait and
//! every answer has a limit.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::dial::dial;
use crate::pki::{SystemRoots, client_config};
use crate::problem::Problems;

const AGENT: HeaderValue = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));
/// The host of a request over a Unix socket, which has none.
const HERE: HeaderValue = HeaderValue::from_static("localhost");

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// Whatever a request brings along.
pub(crate) type AnyBody = UnsyncBoxBody<Bytes, BoxError>;

/// What carries the bytes of a connection: TLS, TCP or a Unix socket.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// A client for HTTP/1.1 over TLS, or in clear to this machine. It opens a connection for each
/// request, so that no request fails on one that the server has just closed; TLS sessions are
/// resumed. It does not follow redirects.
#[derive(Clone)]
pub(crate) struct HttpsClient {
    way: Way,
    limits: Limits,
}

/// How a server is reached.
#[derive(Clone)]
enum Way {
    /// `https` URLs.
    Tls(Arc<ClientConfig>),
    /// `http` URLs of this machine, which nobody else can listen to.
    Loopback,
    /// The socket at this path, whatever host the URL names.
    Unix(PathBuf),
}

/// What a request may take.
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
    #[error("{0} is not an http URL of this machine")]
    NotHere(Uri),
    #[error("{0} cannot be resolved")]
    Lookup(String, #[source] io::Error),
    #[error("{0} cannot be reached")]
    Connect(String, #[source] io::Error),
    #[error("{0} fails the TLS handshake")]
    Handshake(String, #[source] io::Error),
    #[error("the connection broke")]
    Broken(#[source] BoxError),
    #[error("it did not answer within {0:?}")]
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
        Ok(Self { way: Way::Tls(tls), limits: LIMITS })
    }

    /// A client for `http` URLs of this machine: a loopback address, or a name of one.
    pub(crate) fn loopback() -> Self {
        Self { way: Way::Loopback, limits: LIMITS }
    }

    /// A client for the server behind a Unix socket. Its requests have a path for a URL.
    pub(crate) fn unix(socket: PathBuf) -> Self {
        Self { way: Way::Unix(socket), limits: LIMITS }
    }

    /// The same client with other limits: `total` for a whole request, and `body` bytes for the
    /// body of an answer.
    pub(crate) fn with_limits(self, total: Duration, body: usize) -> Self {
        let connect = self.limits.connect.min(total);
        Self { limits: Limits { connect, total, body }, ..self }
    }

    /// Sends a request to an absolute URL and reads the whole answer, whatever its status.
    pub(crate) async fn send<B>(&self, request: Request<B>) -> Result<Response<Bytes>, HttpsError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        // One kind of body and one of stream: hyper's client would be compiled for each.
        let request = request.map(|body| body.map_err(Into::into).boxed_unsync());
        let limit = self.limits.total;
        timeout(limit, self.reach(request)).await.map_err(|_elapsed| HttpsError::Late(limit))?
    }

    async fn reach(&self, mut request: Request<AnyBody>) -> Result<Response<Bytes>, HttpsError> {
        match &self.way {
            Way::Tls(tls) => {
                let target = prepare(&mut request, &Scheme::HTTPS, 443).map_err(HttpsError::NotHttps)?;
                let Target { host, port } = target;
                let tcp = self.connect(&host, port, |_| true).await?;
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| HttpsError::Handshake(host.clone(), io::Error::other(error)))?;
                let tls = TlsConnector::from(tls.clone()).connect(name, tcp).await;
                let tls = tls.map_err(|error| HttpsError::Handshake(host, error))?;
                self.exchange(Box::new(tls), request).await
            }
            Way::Loopback => {
                let target = prepare(&mut request, &Scheme::HTTP, 80).map_err(HttpsError::NotHere)?;
                let tcp = self.connect(&target.host, target.port, |address| address.ip().is_loopback());
                self.exchange(Box::new(tcp.await?), request).await
            }
            Way::Unix(socket) => {
                mark(&mut request, HERE);
                let stream = UnixStream::connect(socket).await;
                let unreached = |error| HttpsError::Connect(socket.display().to_string(), error);
                self.exchange(Box::new(stream.map_err(unreached)?), request).await
            }
        }
    }

    /// Connects to one of the addresses of a host that `may` be used.
    async fn connect(
        &self,
        host: &str,
        port: u16,
        may: impl Fn(&SocketAddr) -> bool,
    ) -> Result<TcpStream, HttpsError> {
        let addresses =
            lookup_host((host, port)).await.map_err(|error| HttpsError::Lookup(host.to_owned(), error))?;
        let tcp = dial(addresses.filter(may), self.limits.connect).await;
        tcp.map_err(|error| HttpsError::Connect(host.to_owned(), error))
    }

    async fn exchange(
        &self,
        stream: Box<dyn Stream>,
        request: Request<AnyBody>,
    ) -> Result<Response<Bytes>, HttpsError> {
        let broken = |error: hyper::Error| HttpsError::Broken(error.into());
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
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

/// Turns a request for an absolute URL of this scheme into one for its server. Returns the URL if
/// it is another.
fn prepare<B>(request: &mut Request<B>, scheme: &Scheme, port: u16) -> Result<Target, Uri> {
    let uri = request.uri().clone();
    let Some(authority) = uri.authority().filter(|_| uri.scheme() == Some(scheme)) else {
        return Err(uri);
    };
    // The Host header has no user information (RFC 9112 section 3.2).
    let host_and_port = authority.as_str().rsplit('@').next().unwrap_or_default();
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let (Ok(header), Ok(path)) = (HeaderValue::try_from(host_and_port), path.parse()) else {
        return Err(uri);
    };
    let host = authority.host();
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let target = Target { host: host.to_owned(), port: authority.port_u16().unwrap_or(port) };
    *request.uri_mut() = path;
    mark(request, header);
    Ok(target)
}

/// Sets the fields that every request has.
fn mark<B>(request: &mut Request<B>, host: HeaderValue) {
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(USER_AGENT, AGENT);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

#[cfg(test)]
mod tests;
