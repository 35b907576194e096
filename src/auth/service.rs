//! Logins that a service of the operator judges, over HTTP.
//!
//! The service gets a GET with the user and the password, and nothing else from the client. The
//! status of its answer is the judgement.

mod answer;

use std::collections::BTreeSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Empty;
use tokio::time::{Instant, timeout_at};

use self::answer::{Answer, Fault, Fields, SOURCE};
use super::admission::{Admission, Busy};
use super::hash::{Fingerprint, fingerprint_of};
use super::judgement::{Attempt, Judgement};
use super::person::{Person, Source};
use super::seldom::Seldom;
use crate::config::{self, ServiceAddress};
use crate::disk;
use crate::https::{HttpsClient, HttpsError};
use crate::pki::SystemRoots;
use crate::problem::{Problem, Problems, with_causes};
use crate::secret::Secret;
use crate::user::{Groups, User};

/// Shows the service who asks.
const SECRET: HeaderName = HeaderName::from_static("x-tidegate-secret");
/// Bytes of the body of an answer. Nothing in it is used.
const LONGEST_BODY: usize = 64 << 10;

/// A service. What is counted outlives a reload.
pub(crate) struct Service {
    client: HttpsClient,
    url: Uri,
    secret: Option<HeaderValue>,
    fields: Fields,
    timeout: Duration,
    connections: usize,
    wanted: BTreeSet<String>,
    digest: Fingerprint,
    admission: Arc<Admission>,
    outage: Arc<Seldom>,
}

/// Why a service says nothing about a password.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Unanswered(#[from] HttpsError),
    #[error(transparent)]
    Unusable(#[from] Fault),
}

impl Service {
    /// `wanted` are the groups that rules name, such as `http:dev`. `queue` logins wait beside
    /// those that the service judges. Connects to nothing.
    ///
    /// # Errors
    /// A file that the settings name cannot be used.
    pub(crate) fn build(
        settings: &config::Service,
        queue: usize,
        wanted: &BTreeSet<String>,
        system: &SystemRoots,
        before: Option<&Arc<Service>>,
    ) -> Result<Arc<Service>, Problems> {
        let mut problems = Problems::default();
        let client = problems.take(client(settings, system));
        let secret = problems.take(secret(settings));
        let fields = problems.take(fields(settings));
        let (Some(client), Some(secret), Some(fields)) = (client, secret, fields) else {
            return Err(problems);
        };
        let is_own = |group: &&String| group.split_once(':').is_some_and(|(source, _)| source == SOURCE);
        let wanted: BTreeSet<String> = wanted.iter().filter(is_own).cloned().collect();
        let url = match &settings.address {
            ServiceAddress::Url(url) => url.clone(),
            ServiceAddress::Unix(_) => Uri::from_static("/"),
        };
        let admission = match before.filter(|before| before.connections == settings.connections) {
            Some(before) => before.admission.clone(),
            None => Admission::new(settings.connections, queue),
        };
        Ok(Arc::new(Self {
            client: client.with_limits(settings.timeout, LONGEST_BODY),
            url,
            digest: digest(settings, secret.as_ref(), &wanted),
            secret,
            fields,
            timeout: settings.timeout,
            connections: settings.connections,
            wanted,
            admission,
            outage: before.map(|before| before.outage.clone()).unwrap_or_default(),
        }))
    }

    /// Changes with the settings and with the wanted groups.
    pub(crate) fn digest(&self) -> &Fingerprint {
        &self.digest
    }

    /// Judges a login. Takes `auth.http.timeout` at most. Runs in a task of its own, which goes on
    /// when the client has left.
    pub(crate) async fn judge(&self, attempt: Attempt) -> Judgement {
        let Attempt { network, name, password, throttle } = attempt;
        let Some(authorization) = basic(&name, &password) else {
            return Judgement::Wrong("no such user and password can be sent");
        };
        let begun = Instant::now();
        let until = begun + self.timeout;
        let entering = self.admission.enter(network, throttle.failures(network, begun));
        let _admitted = match timeout_at(until, entering).await {
            Ok(Ok(admitted)) => admitted,
            Ok(Err(Busy)) => return Judgement::Busy,
            Err(_elapsed) => {
                self.warn(&"a login waited too long for others; see auth.http.connections");
                return Judgement::Unavailable;
            }
        };
        let late = |_elapsed| Err(HttpsError::Late(self.timeout).into());
        match timeout_at(until, self.ask(authorization)).await.unwrap_or_else(late) {
            Ok(Answer::Wrong(reason)) => Judgement::Wrong(reason),
            Ok(Answer::Right(Some(user), groups)) => Judgement::Right(self.person(user, groups)),
            Ok(Answer::Right(None, groups)) => match User::local(&name) {
                Ok(user) => Judgement::Right(self.person(user, groups)),
                Err(_) => Judgement::Wrong("the user cannot be called so, and the service has no other name"),
            },
            Err(failure) => {
                self.warn(&with_causes(&failure));
                Judgement::Unavailable
            }
        }
    }

    /// Asks the service without a user, and says how it answers.
    ///
    /// # Errors
    /// It lets in whoever has no password, or it does not judge.
    pub(crate) async fn probe(&self) -> Result<String, String> {
        let answer = self.client.send(self.request(None)).await.map_err(|error| with_causes(&error))?;
        let status = answer.status();
        match self.read(&answer) {
            Ok(Answer::Wrong(_)) => Ok(format!("it answers {status} to a request without a password")),
            Ok(Answer::Right(..)) => {
                Err(format!("it answers {status} to a request without a password, so it lets in everybody"))
            }
            Err(fault) => Err(fault.to_string()),
        }
    }

    fn warn(&self, cause: &dyn Display) {
        if self.outage.is_due() {
            tracing::warn!(%cause, "auth.http does not judge logins; users get 503 unless they are remembered");
        }
    }

    async fn ask(&self, authorization: HeaderValue) -> Result<Answer, Failure> {
        let answer = self.client.send(self.request(Some(authorization))).await?;
        Ok(self.read(&answer)?)
    }

    fn request(&self, authorization: Option<HeaderValue>) -> Request<Empty<Bytes>> {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = self.url.clone();
        let fields = [(AUTHORIZATION, authorization), (SECRET, self.secret.clone())];
        for (name, value) in fields {
            request.headers_mut().extend(value.map(|value| (name, value)));
        }
        request
    }

    fn read(&self, answer: &Response<Bytes>) -> Result<Answer, Fault> {
        answer::read(answer.status(), answer.headers(), &self.fields, &self.wanted)
    }

    fn person(&self, user: User, groups: Groups) -> Person {
        Person { user, groups, binding: self.digest, source: Source::Http }
    }
}

fn client(settings: &config::Service, system: &SystemRoots) -> Result<HttpsClient, Problems> {
    match &settings.address {
        ServiceAddress::Url(url) if url.scheme_str() == Some("https") => {
            HttpsClient::new(settings.ca.as_deref(), "auth.http.ca", system)
        }
        ServiceAddress::Url(_) => Ok(HttpsClient::loopback()),
        ServiceAddress::Unix(socket) => Ok(HttpsClient::unix(socket.clone())),
    }
}

fn secret(settings: &config::Service) -> Result<Option<HeaderValue>, Problem> {
    let Some(file) = &settings.secret else { return Ok(None) };
    let secret = disk::password(file)?;
    let mut value = HeaderValue::from_bytes(secret.expose())
        .map_err(|_| Problem::at(file, "holds a secret that cannot be sent in a header"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn fields(settings: &config::Service) -> Result<Fields, Problem> {
    let field = |key: &str, name: &str| {
        HeaderName::try_from(name).map_err(|_| Problem::new(key, "is not the name of a header field"))
    };
    let groups = settings.group_header.as_deref().map(|name| field("auth.http.group_header", name));
    Ok(Fields { user: field("auth.http.user_header", &settings.user_header)?, groups: groups.transpose()? })
}

fn digest(
    settings: &config::Service,
    secret: Option<&HeaderValue>,
    wanted: &BTreeSet<String>,
) -> Fingerprint {
    let settings = format!("{settings:?}");
    let secret = secret.map_or(&b""[..], HeaderValue::as_bytes);
    fingerprint_of([settings.as_bytes(), secret].into_iter().chain(wanted.iter().map(String::as_bytes)))
}

/// The credentials of RFC 7617; `None` if there are none to send.
fn basic(name: &[u8], password: &Secret) -> Option<HeaderValue> {
    let password = password.expose();
    // A colon would move a part of the name to the password.
    if name.is_empty() || name.contains(&b':') || password.is_empty() {
        return None;
    }
    let encoded = STANDARD.encode([name, b":", password].concat());
    let mut field = HeaderValue::try_from(format!("Basic {encoded}")).ok()?;
    field.set_sensitive(true);
    Some(field)
}

#[cfg(test)]
mod tests;
