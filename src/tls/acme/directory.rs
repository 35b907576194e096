//! Speaking to a directory: HTTPS in which every wait and every answer has a limit.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};
use tokio::time::timeout;

use crate::config::{Acme, Problems};
use crate::tls::roots;

const CONNECT: Duration = Duration::from_secs(10);
/// For a whole request: connection, TLS handshake, and the last byte of the answer.
const ANSWER: Duration = Duration::from_secs(30);
/// A chain of certificates is the longest answer there is.
const LARGEST: usize = 1 << 20;
/// The library tries three times with a fresh nonce; a busy directory of several servers may refuse more.
const NONCES: usize = 8;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));

/// A client for one directory. Clones share connections.
#[derive(Clone)]
pub(super) struct Directory {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    retry_after: Arc<Mutex<Option<SystemTime>>>,
}

impl Directory {
    /// # Errors
    /// The roots of `acme.ca`, or those of the system, cannot be read.
    pub(super) fn new(acme: &Acme) -> Result<Self, Problems> {
        let tls = roots::directory(acme.ca.as_deref())?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(https);
        Ok(Self { client, retry_after: Arc::default() })
    }

    /// What the last refusal said of when to come again.
    pub(super) fn retry_after(&self) -> Option<SystemTime> {
        *self.retry_after.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Directory {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        request.headers_mut().insert(USER_AGENT, AGENT);
        let (answer, retry_after) = (self.client.request(request), self.retry_after.clone());
        Box::pin(async move {
            let (parts, body) = timeout(ANSWER, read(answer)).await.map_err(|_elapsed| {
                Error::Other(format!("it did not answer within {} s", ANSWER.as_secs()).into())
            })??;
            if !parts.status.is_success() {
                let asked = wanted(&parts.headers);
                *retry_after.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                if serde_json::from_slice::<Problem>(&body).is_err() {
                    return Err(Error::Other(format!("it answered {}", parts.status).into()));
                }
            }
            Ok(BytesResponse { parts, body: Box::new(body) })
        })
    }
}

async fn read(answer: ResponseFuture) -> Result<(http::response::Parts, Bytes), Error> {
    let (parts, body) = answer.await.map_err(|error| Error::Other(error.into()))?.into_parts();
    let body = Limited::new(body, LARGEST).collect().await.map_err(Error::Other)?;
    Ok((parts, body.to_bytes()))
}

/// RFC 9110 section 10.2.3: a date, or a number of seconds.
fn wanted(headers: &HeaderMap) -> Option<SystemTime> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => SystemTime::now().checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok(),
    }
}

/// Repeats a request that is refused for its nonce (RFC 8555 section 6.5): nothing has happened then.
pub(super) async fn again<T>(mut request: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        match request().await {
            Err(Error::Api(problem)) if tries < NONCES && is(&problem, "badNonce") => tries += 1,
            result => return result,
        }
    }
}

/// Whether a problem is of this type (RFC 8555 section 6.7).
pub(super) fn is(problem: &Problem, kind: &str) -> bool {
    let name = problem.r#type.as_deref().and_then(|name| name.strip_prefix("urn:ietf:params:acme:error:"));
    name == Some(kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let wanted = |value: &'static str| {
            wanted(&HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))]))
        };
        let wait = wanted("120").unwrap().duration_since(SystemTime::now()).unwrap();
        assert!((119..=120).contains(&wait.as_secs()));
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(wanted("Sun, 06 Nov 1994 08:49:37 GMT"), Some(date));
        assert_eq!(wanted("soon"), None);
        assert_eq!(wanted("18446744073709551615"), None);
    }

    #[tokio::test]
    async fn a_refused_nonce_is_tried_again_but_not_for_ever() {
        let mut tries = 0;
        let refused = again(async || {
            tries += 1;
            let problem = r#"{"type": "urn:ietf:params:acme:error:badNonce"}"#;
            Err::<(), _>(Error::Api(serde_json::from_str(problem).unwrap()))
        });
        assert!(refused.await.is_err());
        assert_eq!(tries, NONCES);
    }
}
