//! What the audit log gets of one request: at most one line once it is answered, beside those of a
//! login and of an issued token.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::refusal::Refusal;
use crate::log::audit::{Authentication, Entry, Event, Outcome};
use crate::log::record::{Record, Truncated};
use crate::registry::name;
use crate::registry::target::Operation;

/// The reason when a client has left before it got an answer. The status is then 499.
const CLIENT_LEFT: &str = "the client left before the answer; the registry may have done it";
/// The same when the registry was at most asked about the request.
const NOT_SENT: &str = "the client left before the request was sent to the registry";

/// Collects what only the audit log says of a request.
pub(super) struct Trail {
    is_on: bool,
    authentication: Cell<Option<Authentication>>,
    /// A revoked login or certificate was shown.
    is_revoked: Cell<bool>,
    due: RefCell<Option<Box<Due>>>,
    /// The line is that of a request that may go on without its client.
    is_lent: Cell<bool>,
    /// The request itself is sent to the registry, and not only questions about it.
    is_sent: Cell<bool>,
}

/// The line that a request will have.
#[derive(Clone, Debug)]
pub(super) struct Due {
    pub(super) event: Event,
    /// How the request was refused; `None` if its status says how it ended.
    pub(super) refused: Option<Outcome>,
    /// The tags that a push sets, with commas between them.
    pub(super) tag: Option<String>,
    pub(super) from: Option<String>,
    pub(super) media_type: Option<String>,
    pub(super) rule: Option<String>,
}

impl Due {
    pub(super) fn new(event: Event) -> Self {
        Self { event, refused: None, tag: None, from: None, media_type: None, rule: None }
    }

    /// Whether the client gets the end of its answer only after the line is written.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self.event, Event::Push | Event::Upload | Event::Delete)
    }
}

impl Trail {
    /// Without an audit log nothing is collected.
    pub(super) fn new(is_on: bool) -> Self {
        Self {
            is_on,
            authentication: Cell::new(None),
            is_revoked: Cell::new(false),
            due: RefCell::default(),
            is_lent: Cell::new(false),
            is_sent: Cell::new(false),
        }
    }

    /// The request itself is sent to the registry.
    pub(super) fn sent(&self) {
        self.is_sent.set(true);
    }

    pub(super) fn is_sent(&self) -> bool {
        self.is_sent.get()
    }

    /// Lends the line of a push or deletion to its request, which may go on without its client.
    pub(super) fn lend(&self) -> Option<Trail> {
        let due = self
            .due
            .borrow()
            .as_ref()
            .filter(|due| matches!(due.event, Event::Push | Event::Delete))
            .cloned()?;
        self.is_lent.set(true);
        let lent = Self::new(self.is_on);
        lent.authentication.set(self.authentication.get());
        lent.is_sent.set(self.is_sent.get());
        lent.due.replace(Some(due));
        Some(lent)
    }

    /// The client has waited for the answer.
    pub(super) fn take_back(&self) {
        self.is_lent.set(false);
    }

    /// How the client has proven who it is.
    pub(super) fn authenticated(&self, by: Authentication) {
        self.authentication.set(Some(by));
    }

    /// The login or the certificate that the client showed is revoked.
    pub(super) fn revoked(&self) {
        self.is_revoked.set(true);
    }

    /// The request will have this line.
    pub(super) fn expect(&self, due: Due) {
        self.due.replace(self.is_on.then(|| Box::new(due)));
    }

    /// The blob of an upload is mounted from this repository.
    pub(super) fn mounted_from(&self, repository: &str) {
        if let Some(due) = &mut *self.due.borrow_mut() {
            due.from = Some(repository.to_owned());
        }
    }

    /// The request is refused. Unless that is an event, a line that it would have stays due.
    pub(super) fn refused(&self, refusal: &Refusal) {
        let event =
            if self.is_revoked.get() { Some((Event::Revoked, Outcome::Denied)) } else { refusal.event() };
        if let Some((event, outcome)) = event {
            self.expect(Due { refused: Some(outcome), ..Due::new(event) });
        }
    }

    /// The line that is due with this response; that of a pull waits for the end of its body.
    pub(super) fn answered<B>(&self, record: &Record, response: &Response<B>) -> Option<Box<Due>> {
        let mut place = self.due.borrow_mut();
        let due = place.as_mut()?;
        if due.event == Event::Pull {
            // Of an error, it is not that of a manifest.
            let is_manifest = response.status().is_success();
            due.media_type = text(response.headers(), CONTENT_TYPE).filter(|_| is_manifest);
            return None;
        }
        // Most uploads are only begun by this request.
        let is_begun =
            record.operation == Operation::UploadStart.as_str() && response.status() != StatusCode::CREATED;
        place.take().filter(|due| due.event != Event::Upload || !is_begun)
    }

    /// The line that is left when the request is over.
    pub(super) fn left(&mut self) -> Option<Box<Due>> {
        self.due.get_mut().take().filter(|_| !self.is_lent.get())
    }

    /// The entry of a line that was due. `bytes` are those of the bodies, in and out.
    pub(super) fn entry<'a>(
        &self,
        record: &'a Record,
        due: &'a Due,
        status: u16,
        bytes: (u64, u64),
        duration: Duration,
    ) -> Entry<'a> {
        let is_done = matches!(status, 200..300 | 304) && record.truncated.is_none();
        let outcome = due.refused.unwrap_or(match status {
            _ if is_done => Outcome::Success,
            401 | 403 => Outcome::Denied,
            _ => Outcome::Failure,
        });
        let reference = record.reference.as_deref();
        let is_manifest = record.operation.starts_with("manifest-");
        let tag = due.tag.as_deref().or(reference.filter(|text| is_manifest && name::is_tag(text)));
        let digest = record.digest.as_deref().or(reference.filter(|text| name::is_digest(text)));
        let ended = match record.truncated {
            None => None,
            Some(_) if record.first_byte.is_none() && !self.is_sent.get() => Some(NOT_SENT),
            Some(_) if record.first_byte.is_none() => Some(CLIENT_LEFT),
            Some(Truncated::Client) => Some("the client ended the transfer before its last byte"),
            Some(Truncated::Upstream) => Some("the registry ended the transfer before its last byte"),
        };
        Entry {
            repository: record.repository.as_deref(),
            tag,
            digest,
            from: due.from.as_deref(),
            media_type: due.media_type.as_deref(),
            bytes: match due.event {
                Event::Push | Event::Upload => Some(bytes.0),
                Event::Pull => Some(bytes.1),
                _ => None,
            },
            status: Some(status),
            rule: due.rule.as_deref(),
            reason: record.reason.as_deref().or(ended),
            ..self.event(record, due.event, outcome, duration)
        }
    }

    /// An event, and who has caused it.
    pub(super) fn event<'a>(
        &self,
        record: &'a Record,
        event: Event,
        outcome: Outcome,
        duration: Duration,
    ) -> Entry<'a> {
        Entry {
            id: Some(&record.id),
            user: record.user.as_deref(),
            claimed: record.claimed.as_deref(),
            authentication: self.authentication.get(),
            source: record.source.as_deref(),
            certificate: record.certificate.as_deref(),
            client: Some(record.client),
            peer: Some(record.peer),
            user_agent: Some(&*record.user_agent).filter(|agent| !agent.is_empty()),
            duration: Some(duration),
            ..Entry::new(event, outcome)
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    headers.get(name).map(HeaderValue::as_bytes).map(|value| String::from_utf8_lossy(value).into_owned())
}
