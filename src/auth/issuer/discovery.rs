//! Fetches the keys of an issuer: OpenID Connect Discovery, section 4, and the set of keys that it
//! leads to.

use std::error::Error;
use std::iter::successors;
use std::time::Duration;

use bytes::Bytes;
use http::header::ACCEPT;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::Empty;
use serde::Deserialize;
use tokio::time::timeout;

use super::key_set::{BadSet, KeySet, LONGEST};
use crate::https::{HttpsClient, HttpsError};

/// For both answers together.
const TOTAL: Duration = Duration::from_secs(10);
const PATH: &str = "/.well-known/openid-configuration";
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// An issuer that is asked over the network.
#[derive(Clone)]
pub(super) struct Discovery {
    client: HttpsClient,
    /// `iss`
    url: String,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoKeys {
    #[error("the issuer did not answer within {} s", TOTAL.as_secs())]
    Late,
    #[error("{url}: {}", causes(error))]
    Unreachable { url: Uri, error: HttpsError },
    #[error("{url} answered with the status {status}")]
    Status { url: Uri, status: StatusCode },
    #[error("{0} does not hold the metadata of an issuer")]
    Metadata(Uri),
    #[error("{0} holds the metadata of another issuer")]
    Issuer(Uri),
    #[error("the address of the keys, jwks_uri, is not an https URL")]
    Address,
    #[error("the set of keys at {url} cannot be used: {bad}")]
    Set { url: Uri, bad: BadSet },
}

#[derive(Deserialize)]
struct Metadata {
    issuer: String,
    jwks_uri: String,
}

impl Discovery {
    pub(super) fn new(client: HttpsClient, url: &str) -> Self {
        Self { client: client.with_limits(TOTAL, LONGEST), url: url.to_owned() }
    }

    pub(super) async fn fetch(&self) -> Result<KeySet, NoKeys> {
        timeout(TOTAL, self.ask()).await.map_err(|_elapsed| NoKeys::Late)?
    }

    async fn ask(&self) -> Result<KeySet, NoKeys> {
        // The slash that an issuer may end with is left out (section 4.1).
        let url = format!("{}{PATH}", self.url.strip_suffix('/').unwrap_or(&self.url));
        let url: Uri = url.parse().map_err(|_| NoKeys::Address)?;
        let metadata = self.get(&url).await?;
        let metadata: Metadata =
            serde_json::from_slice(&metadata).map_err(|_| NoKeys::Metadata(url.clone()))?;
        if metadata.issuer != self.url {
            return Err(NoKeys::Issuer(url));
        }
        let url: Uri = metadata.jwks_uri.parse().map_err(|_| NoKeys::Address)?;
        if url.scheme_str() != Some("https") {
            return Err(NoKeys::Address);
        }
        let text = self.get(&url).await?;
        KeySet::parse(&text).map_err(|bad| NoKeys::Set { url, bad })
    }

    async fn get(&self, url: &Uri) -> Result<Bytes, NoKeys> {
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.uri_mut() = url.clone();
        request.headers_mut().insert(ACCEPT, JSON);
        let answer = self.client.send(request).await;
        let answer = answer.map_err(|error| NoKeys::Unreachable { url: url.clone(), error })?;
        match answer.status() {
            StatusCode::OK => Ok(answer.into_body()),
            status => Err(NoKeys::Status { url: url.clone(), status }),
        }
    }
}

/// The error with what has caused it.
fn causes(error: &HttpsError) -> String {
    let first: &dyn Error = error;
    let all = successors(Some(first), |cause| (*cause).source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
