//! Requests to a directory, and checks of its answers before the library sees them.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient, Problem};

use super::error::kind;
use super::schedule::LONGEST_RETRY_AFTER;
use crate::config::Acme;
use crate::https::HttpsClient;
use crate::pki::SystemRoots;
use crate::problem::Problems;

/// Tries of the library, each with three nonces. A busy directory with several servers may reject
/// more than three.
const NONCE_TRIES: usize = 8;

const SIX_HOURS: HeaderValue = HeaderValue::from_static("21600");

/// A client for one directory. Clones share the last `Retry-After`.
#[derive(Clone)]
pub(super) struct Directory {
    https: HttpsClient,
    url: Uri,
    last_retry_after: Arc<Mutex<Option<SystemTime>>>,
}

impl Directory {
    /// # Errors
    /// The roots of `acme.ca`, or those of the system, cannot be read.
    pub(super) fn new(acme: &Acme, system: &SystemRoots) -> Result<Self, Problems> {
        let https = HttpsClient::new(acme.ca.as_deref(), "acme.ca", system)?;
        let url = acme.directory.parse().unwrap_or_default();
        Ok(Self { https, url, last_retry_after: Arc::default() })
    }

    /// The `Retry-After` of the last error answer.
    pub(super) fn retry_after(&self) -> Option<SystemTime> {
        *self.last_retry_after.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        // All else but the renewal information is fetched with POST (RFC 8555 section 6.3).
        let is_get = request.method() == Method::GET;
        let for_directory = is_get && *request.uri() == self.url;
        let answer = self.https.send(request).await.map_err(|error| Error::Other(error.into()))?;
        self.check(&answer, for_directory)?;
        let (mut parts, body) = answer.into_parts();
        remove_absurd_retry_after(&mut parts.headers);
        if is_get {
            // The library takes no renewal information without one.
            parts.headers.entry(RETRY_AFTER).or_insert(SIX_HOURS);
        }
        Ok(BytesResponse { parts, body: Box::new(body) })
    }

    fn check(&self, answer: &Response<Bytes>, for_directory: bool) -> Result<(), Error> {
        if answer.status().is_success() {
            let checked = if for_directory { check_directory(answer.body()) } else { Ok(()) };
            return checked.map_err(|error| Error::Other(error.into()));
        }
        let asked = retry_after(answer.headers());
        *self.last_retry_after.lock().unwrap_or_else(PoisonError::into_inner) = asked;
        match problem(answer.body()) {
            None => Err(Error::Other(format!("it answered {}", answer.status()).into())),
            // The library would parse it as the directory.
            Some(problem) if for_directory => Err(Error::Api(problem)),
            Some(_) => Ok(()),
        }
    }
}

impl HttpClient for Directory {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let directory = self.clone();
        Box::pin(async move { directory.send(request).await })
    }
}

/// Reads `Retry-After`, a date or a number of seconds (RFC 9110 section 10.2.3).
fn retry_after(headers: &HeaderMap) -> Option<SystemTime> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse() {
        Ok(seconds) => SystemTime::now().checked_add(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(value).ok(),
    }
}

/// Removes a `Retry-After` that is malformed or too far ahead. The library adds it to the current
/// time unchecked, which panics on overflow.
fn remove_absurd_retry_after(headers: &mut HeaderMap) {
    let latest = SystemTime::now() + LONGEST_RETRY_AFTER;
    if retry_after(headers).is_none_or(|at| at > latest) {
        headers.remove(RETRY_AFTER);
    }
}

/// Parses a problem document with a type or a detail. The library would accept any JSON object.
fn problem(body: &[u8]) -> Option<Problem> {
    let problem: Problem = serde_json::from_slice(body).ok()?;
    (problem.r#type.is_some() || problem.detail.is_some()).then_some(problem)
}

/// Checks the URLs of a directory. The library panics if they are malformed.
fn check_directory(body: &[u8]) -> Result<(), String> {
    let directory: serde_json::Value = serde_json::from_slice(body)
        .map_err(|error| format!("its answer is not an ACME directory: {error}"))?;
    for name in ["newNonce", "newAccount", "newOrder"] {
        let url = directory[name].as_str().and_then(|url| url.parse::<Uri>().ok());
        if url.is_none_or(|url| url.scheme() != Some(&Scheme::HTTPS)) {
            return Err(format!("its answer is not an ACME directory: {name} is not an https URL"));
        }
    }
    Ok(())
}

/// Repeats a request that is rejected for its nonce (RFC 8555 section 6.5) and thus had no effect.
pub(super) async fn retry_bad_nonce<T>(
    mut request: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    let mut tries = 1;
    loop {
        match request().await {
            Err(Error::Api(problem)) if tries < NONCE_TRIES && kind(&problem) == Some("badNonce") => {
                tries += 1
            }
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
    fn the_library_never_sees_an_absurd_retry_after() {
        let kept = |value| {
            let mut headers = asking(value);
            remove_absurd_retry_after(&mut headers);
            headers.contains_key(RETRY_AFTER)
        };
        assert!(kept("0") && kept(" 604000 ") && kept("Sun, 06 Nov 1994 08:49:37 GMT"));
        for absurd in ["18446744073709551615", "604900", "Fri, 31 Dec 9999 23:59:59 GMT", "soon", "-1", ""] {
            assert!(!kept(absurd), "{absurd}");
        }
    }

    #[test]
    fn the_library_never_sees_a_directory_without_urls() {
        let directory = |nonce: &str| {
            let (account, order) = ("https://ca.test/account", "https://ca.test/order");
            let text = serde_json::json!({"newNonce": nonce, "newAccount": account, "newOrder": order});
            check_directory(text.to_string().as_bytes())
        };
        assert_eq!(directory("https://ca.test/nonce"), Ok(()));
        for nonce in ["", "/nonce", "http://ca.test/nonce", "https://ca test/", "https://", "ca.test:443"] {
            let error = directory(nonce).unwrap_err();
            assert!(error.ends_with("newNonce is not an https URL"), "{nonce}: {error}");
        }
        for other in ["", "<html>", "[]", "{}", "7", r#"{"newNonce": 7}"#] {
            assert!(check_directory(other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn an_answer_without_type_and_detail_is_not_a_problem_document() {
        assert!(problem(br#"{"detail": "busy"}"#).is_some());
        assert!(problem(br#"{"type": "urn:ietf:params:acme:error:rateLimited"}"#).is_some());
        assert!(problem(br#"{"error": "busy"}"#).is_none() && problem(b"<html>").is_none());
    }

    #[tokio::test]
    async fn a_rejected_nonce_is_retried_but_not_forever() {
        let mut tries = 0;
        let refused = retry_bad_nonce(async || {
            tries += 1;
            let problem = r#"{"type": "urn:ietf:params:acme:error:badNonce"}"#;
            Err::<(), _>(Error::Api(serde_json::from_str(problem).unwrap()))
        });
        assert!(refused.await.is_err());
        assert_eq!(tries, NONCE_TRIES);
    }
}
