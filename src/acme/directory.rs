//! Speaking to a directory: HTTPS in which every wait and every answer has a limit.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{RETRY_AFTER, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, ResponseFuture};
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};
use tokio::time::timeout;

use super::failure::kind;
use crate::config::Acme;
use crate::pki;
use crate::problem::Problems;

const CONNECT: Duration = Duration::from_secs(10);
/// For a whole request: connection, TLS handshake, and the last byte of the answer.
const ANSWER: Duration = Duration::from_secs(30);
/// A chain of certificates is the longest answer there is.
const LARGEST: usize = 1 << 20;
/// No directory that works asks for more.
const LONGEST_WAIT: Duration = Duration::from_hours(7 * 24);
/// The library tries three times with a fresh nonce; a busy directory of several servers may refuse more.
const NONCES: usize = 8;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("tidegate/", env!("CARGO_PKG_VERSION")));

/// A client for one directory. Clones share connections.
#[derive(Clone)]
pub(super) struct Directory {
    client: Client<HttpsConnector<HttpConnector>, BodyWrapper<Bytes>>,
    last_wish: Arc<Mutex<Option<SystemTime>>>,
}

impl Directory {
    /// # Errors
    /// The roots of `acme.ca`, or those of the system, cannot be read.
    pub(super) fn new(acme: &Acme) -> Result<Self, Problems> {
        let tls = pki::client_config(acme.ca.as_deref(), "acme.ca", &[])?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_connect_timeout(Some(CONNECT));
        let https =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(1).build(https);
        Ok(Self { client, last_wish: Arc::default() })
    }

    /// What the last refusal said of when to come again.
    pub(super) fn retry_after(&self) -> Option<SystemTime> {
        *self.last_wish.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HttpClient for Directory {
    fn request(
        &self,
        mut request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        request.headers_mut().insert(USER_AGENT, AGENT);
        // Nothing else is asked for by GET (RFC 8555 section 6.3).
        let for_directory = request.method() == Method::GET;
        let (answer, last_wish) = (self.client.request(request), self.last_wish.clone());
        Box::pin(async move {
            let (mut parts, body) = timeout(ANSWER, read(answer)).await.map_err(|_elapsed| {
                Error::Other(format!("it did not answer within {} s", ANSWER.as_secs()).into())
            })??;
            if !parts.status.is_success() {
                let asked = retry_after(&parts.headers);
                *last_wish.lock().unwrap_or_else(PoisonError::into_inner) = asked;
                match problem(&body) {
                    None => return Err(Error::Other(format!("it answered {}", parts.status).into())),
                    // The library would take it for the directory.
                    Some(problem) if for_directory => return Err(Error::Api(problem)),
                    Some(_) => {}
                }
            } else if for_directory {
                check_directory(&body).map_err(|fault| Error::Other(fault.into()))?;
            }
            remove_absurd_wait(&mut parts.headers);
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
fn retry_after(headers: &HeaderMap) -> Option<SystemTime> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => SystemTime::now().checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok(),
    }
}

/// The library adds whatever number it finds to the time of day, and panics when there is no such time.
fn remove_absurd_wait(headers: &mut HeaderMap) {
    let latest = SystemTime::now() + LONGEST_WAIT;
    if retry_after(headers).is_none_or(|at| at > latest) {
        headers.remove(RETRY_AFTER);
    }
}

/// What the body of a refusal says, if that is anything. Every JSON object would do for the library.
fn problem(body: &[u8]) -> Option<Problem> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    (problem.r#type.is_some() || problem.detail.is_some()).then_some(problem)
}

/// The library takes it for granted that these are URLs, and panics when they are not.
fn check_directory(body: &[u8]) -> Result<(), String> {
    let directory: serde_json::Value =
        serde_json::from_slice(body).map_err(|error| format!("its answer is no ACME directory: {error}"))?;
    for name in ["newNonce", "newAccount", "newOrder"] {
        let url = directory[name].as_str().and_then(|url| url.parse::<Uri>().ok());
        if url.is_none_or(|url| url.scheme() != Some(&Scheme::HTTPS)) {
            return Err(format!("its answer is no ACME directory: {name} is no https URL"));
        }
    }
    Ok(())
}

/// Repeats a request that is refused for its nonce (RFC 8555 section 6.5): nothing has happened then.
pub(super) async fn again<T>(mut request: impl AsyncFnMut() -> Result<T, Error>) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        match request().await {
            Err(Error::Api(problem)) if tries < NONCES && kind(&problem) == Some("badNonce") => tries += 1,
            result => return result,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(value))])
    }

    #[test]
    fn retry_after_is_a_number_of_seconds_or_a_date() {
        let wanted = |value| retry_after(&asking(value));
        let wait = wanted("120").unwrap().duration_since(SystemTime::now()).unwrap();
        assert!((119..=120).contains(&wait.as_secs()));
        let date = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(wanted("Sun, 06 Nov 1994 08:49:37 GMT"), Some(date));
        assert_eq!(wanted("soon"), None);
        assert_eq!(wanted("18446744073709551615"), None);
    }

    #[test]
    fn the_library_is_spared_an_absurd_wait() {
        let kept = |value| {
            let mut headers = asking(value);
            remove_absurd_wait(&mut headers);
            headers.contains_key(RETRY_AFTER)
        };
        assert!(kept("0") && kept(" 604000 ") && kept("Sun, 06 Nov 1994 08:49:37 GMT"));
        for absurd in ["18446744073709551615", "604900", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "-1", ""] {
            assert!(!kept(absurd), "{absurd}");
        }
    }

    #[test]
    fn the_library_is_spared_a_directory_without_urls() {
        let directory = |nonce: &str| {
            let (account, order) = ("https://ca.test/account", "https://ca.test/order");
            let text = serde_json::json!({"newNonce": nonce, "newAccount": account, "newOrder": order});
            check_directory(text.to_string().as_bytes())
        };
        assert_eq!(directory("https://ca.test/nonce"), Ok(()));
        for nonce in ["", "/nonce", "http://ca.test/nonce", "https://ca test/", "https://", "ca.test:443"] {
            let fault = directory(nonce).unwrap_err();
            assert!(fault.ends_with("newNonce is no https URL"), "{nonce}: {fault}");
        }
        for other in ["", "<html>", "[]", "{}", "7", r#"{"newNonce": 7}"#] {
            assert!(check_directory(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn a_refusal_without_words_is_no_problem_document() {
        assert!(problem(br#"{"detail": "busy"}"#).is_some());
        assert!(problem(br#"{"type": "urn:ietf:params:acme:error:rateLimited"}"#).is_some());
        assert!(problem(br#"{"error": "busy"}"#).is_none() && problem(b"<html>").is_none());
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
