//! The record of one request for the access log.

use std::borrow::Cow;
use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use super::late_line::LateLine;
use super::peer::Peer;
use super::recent::RecentRefusals;
use super::trail::Trail;
use super::transfers::Listed;
use crate::access::Identity;
use crate::auth::Source;
use crate::body::Flow;
use crate::header::authority::Authority;
use crate::header::forwarded::Client;
use crate::header::request_id;
use crate::header::traceparent::TraceId;
use crate::log::audit::{Authentication, Entry, Event, Outcome};
use crate::log::record::{Record, Truncated};
use crate::metrics::{Grant, Refused, Side, code};
use crate::registry::scope::Scope;
use crate::registry::target::{Operation, Target};
use crate::registry::{digest, name};
use crate::state::{Shared, Told};
use crate::tls::PresentedCertificate;
use crate::upstream::AnswerError;
use crate::user::User;

/// The reason in the log when the 401 is the registry's.
pub(super) const REGISTRY_ASKS: &str = "the registry itself asks for credentials, see upstream.authorization";
/// The status in the log when the client left before it got one.
const CLIENT_LEFT: u16 = 499;

/// Collects what becomes known of a request. Writes it to the access log when dropped, which is
/// when the last byte of the response has gone, or the client has.
pub(super) struct RequestLog {
    shared: Arc<Shared>,
    flow: Rc<Flow>,
    version: Version,
    is_head: bool,
    /// Boxed: a response is moved a dozen times on its way, and takes this along.
    record: RefCell<Box<Record>>,
    listed: OnceCell<Listed>,
    trail: Trail,
    complete: bool,
}

impl RequestLog {
    /// Begins the record of a request on a connection from `peer`.
    pub(super) fn open<B>(shared: Arc<Shared>, peer: &Peer, request: &Request<B>, flow: Rc<Flow>) -> Self {
        let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let record = Record {
            time: SystemTime::now(),
            id: shared.request_ids.next(),
            trace_id: TraceId::of(request.headers()),
            peer: peer.address,
            client: peer.client,
            user: None,
            source: None,
            claimed: None,
            certificate: None,
            method: request.method().to_string(),
            host: host.unwrap_or_else(|| field(request, HOST)),
            path: request.uri().path().to_owned(),
            version: request.version(),
            tls: peer.tls,
            operation: "",
            repository: None,
            reference: None,
            status: CLIENT_LEFT,
            bytes_in: 0,
            bytes_out: 0,
            duration: Duration::ZERO,
            first_byte: None,
            upstream: None,
            upstream_address: None,
            upstream_time: None,
            retries: None,
            digest: None,
            user_agent: field(request, USER_AGENT),
            truncated: None,
            reason: None,
        };
        flow.counts().operations[flow.operation()].in_flight.change(1);
        let trail = Trail::new(shared.audit_log.is_on());
        Self {
            shared,
            flow,
            version: request.version(),
            is_head: request.method() == Method::HEAD,
            record: RefCell::new(Box::new(record)),
            listed: OnceCell::new(),
            trail,
            complete: false,
        }
    }

    /// The id of the request.
    pub(super) fn id(&self) -> String {
        self.record.borrow().id.clone()
    }

    /// What only the audit log says of the request.
    pub(super) fn trail(&self) -> &Trail {
        &self.trail
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    pub(super) fn is_head(&self) -> bool {
        self.is_head
    }

    /// The client, and how a trusted proxy before tidegate calls the request in `headers`.
    pub(super) fn client(&self, client: &Client, headers: &HeaderMap) {
        let mut record = self.record.borrow_mut();
        record.client = client.address;
        if client.proxies > 0
            && let Some(id) = request_id::of(headers)
        {
            id.clone_into(&mut record.id);
        }
    }

    /// Inserts the id as `X-Request-Id`, in place of any other.
    pub(super) fn tell_id(&self, headers: &mut HeaderMap) {
        // Never fails: all ids are visible ASCII.
        if let Ok(id) = HeaderValue::from_str(&self.record.borrow().id) {
            headers.insert(request_id::FIELD, id);
        }
    }

    /// The host that the client asked for, where the request itself names another or none.
    pub(super) fn host(&self, authority: &Authority) {
        let mut record = self.record.borrow_mut();
        if record.host != authority.as_str() {
            authority.as_str().clone_into(&mut record.host);
        }
    }

    pub(super) fn target(&self, target: &Target<'_>) {
        self.operation(target.operation.position());
        let mut record = self.record.borrow_mut();
        record.repository = target.repository.map(str::to_owned);
        record.reference = target.reference.map(str::to_owned);
    }

    /// The operation, by the position of its name among [`Operation::NAMES`].
    pub(super) fn operation(&self, position: usize) {
        self.record.borrow_mut().operation = Operation::NAMES[position];
        let operations = &self.flow.counts().operations;
        operations[self.flow.operation()].in_flight.change(-1);
        operations[position].in_flight.change(1);
        self.flow.set_operation(position);
    }

    /// The request moves a layer, and is listed until it is over.
    pub(super) fn list(&self, transfer: Listed) {
        _ = self.listed.set(transfer);
    }

    pub(super) fn user(&self, identity: &Identity) {
        if let Identity::User(user, _) = identity {
            self.record.borrow_mut().user = Some(text(user.as_bytes()));
        }
    }

    /// Who has judged the client's credentials.
    pub(super) fn source(&self, source: &Source) {
        self.vouched(source.text());
    }

    /// The same, for what tidegate vouches for itself.
    pub(super) fn vouched(&self, by: impl Into<Cow<'static, str>>) {
        self.record.borrow_mut().source = Some(by.into());
    }

    /// A user that the client has named without proof.
    pub(super) fn claimed(&self, user: &[u8]) {
        self.record.borrow_mut().claimed = Some(text(user));
    }

    pub(super) fn certificate(&self, shown: &PresentedCertificate) {
        self.record.borrow_mut().certificate = Some(shown.label().to_owned());
    }

    /// The server that was asked last.
    pub(super) fn server(&self) -> Option<Arc<str>> {
        self.flow.server().map(|(name, _)| name)
    }

    /// The request itself is sent to the registry.
    pub(super) fn forwarded(&self) {
        // That of the last question.
        self.flow.forget_trip();
        self.trail.sent();
    }

    /// The reason for which the request is refused, here or by the registry.
    pub(super) fn reason(&self, reason: impl Into<Cow<'static, str>>) {
        self.record.borrow_mut().reason = Some(reason.into());
    }

    /// The request is refused here.
    pub(super) fn refused(&self, kind: Refused) {
        self.flow.counts().refusals[kind].add(1);
    }

    /// Those who watch are to see the refusal.
    pub(super) fn show(&self, recent: &RecentRefusals, kind: Refused, status: StatusCode) {
        self.flow.counts().shown_refusals.add(1);
        recent.remember(&self.record.borrow(), kind, status.as_u16());
    }

    /// The digest in a response.
    pub(super) fn digest<B>(&self, response: &Response<B>) {
        self.record.borrow_mut().digest = digest::named(response.headers());
    }

    /// There is a response. `length` is that of its body, if known.
    pub(super) fn answered<B>(&self, response: &Response<B>, length: Option<u64>) {
        let first_byte = self.flow.age();
        self.flow.counts().operations[self.flow.operation()].first_byte.observe(first_byte);
        let mut record = self.record.borrow_mut();
        record.status = response.status().as_u16();
        record.first_byte = Some(first_byte);
        if let Some(listed) = self.listed.get() {
            listed.answered(length);
        }
    }

    /// A password was right, and this is a login for the audit log.
    pub(super) fn login(&self, user: &User, source: &Source) {
        let (record, name, source) = (self.record.borrow(), user.to_string(), source.text());
        let login = self.trail.event(&record, Event::Login, Outcome::Success, self.flow.age());
        self.shared.audit_log.write(&Entry { user: Some(&name), source: Some(&source), ..login });
    }

    /// A token was issued for these scopes.
    pub(super) fn token(&self, grant: Grant, scopes: &[Scope]) {
        if !self.shared.audit_log.is_on() {
            return;
        }
        let scopes: Vec<String> = scopes.iter().map(Scope::to_string).collect();
        let record = self.record.borrow();
        let token = self.trail.event(&record, Event::Token, Outcome::Success, self.flow.age());
        self.shared.audit_log.write(&Entry {
            authentication: match grant {
                Grant::Password => Some(Authentication::Password),
                Grant::IdToken => Some(Authentication::IdToken),
                Grant::Refresh => Some(Authentication::Token),
                Grant::Certificate => Some(Authentication::Certificate),
                Grant::Anonymous => None,
            },
            status: Some(StatusCode::OK.as_u16()),
            reason: Some(&*scopes.join(" ")).filter(|scopes| !scopes.is_empty()),
            ..token
        });
    }

    /// Writes the line of the audit log that is due with this response. Where the registry was to
    /// be changed, waits until it is written.
    pub(super) async fn audit<B>(&self, response: &Response<B>) {
        let (due, written) = {
            let record = self.record.borrow();
            if self.is_head && self.shared.audit_log.is_on() {
                self.remember_tag(&record, response.status());
            }
            let Some(due) = self.trail.answered(&record, response) else { return };
            let bytes = (self.flow.bytes_in(), self.flow.bytes_out());
            let status = response.status().as_u16();
            let entry = self.trail.entry(&record, &due, status, bytes, self.flow.age());
            let written = self.shared.audit_log.write_now(&entry);
            (due, written)
        };
        if due.is_awaited() {
            written.await;
        }
    }

    /// The line of the audit log, to be written even if the client leaves while the registry works.
    pub(super) fn late_line(&self) -> Option<LateLine> {
        let trail = self.trail.lend()?;
        Some(LateLine {
            log: self.shared.audit_log.clone(),
            trail,
            record: self.record.borrow().clone(),
            flow: self.flow.clone(),
            is_answered: false,
        })
    }

    /// The client is still there when the registry has answered, so the line is written with its
    /// answer.
    pub(super) fn take_back(&self, late: Option<LateLine>) {
        if let Some(late) = late {
            late.give_back(&self.trail);
        }
    }

    /// The client will pull the digest that it was told for a tag.
    fn remember_tag(&self, record: &Record, status: StatusCode) {
        if let (Some(repository), Some(tag), Some(digest)) =
            (&record.repository, &record.reference, &record.digest)
            && status == StatusCode::OK
            && record.operation == Operation::ManifestGet.as_str()
            && name::is_tag(tag)
        {
            let told = Told { client: record.client, user: record.user.as_deref(), repository, digest };
            self.shared.resolved_tags.remember(told, tag);
        }
    }

    pub(super) fn truncated(&self, error: &AnswerError) {
        self.record.borrow_mut().truncated = Some(match error {
            AnswerError::Client => Truncated::Client,
            AnswerError::Truncated(_) | AnswerError::Silent => Truncated::Upstream,
        });
    }

    /// The last byte of the response has been handed over.
    pub(super) fn finished(&mut self) {
        self.complete = true;
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        let record = self.record.get_mut();
        if self.flow.fault().is_some() || (!self.complete && record.truncated.is_none()) {
            record.truncated = Some(Truncated::Client);
        }
        record.duration = self.flow.age();
        if let Some((server, address)) = self.flow.server() {
            (record.upstream, record.upstream_address) = (Some(server), address);
        }
        if self.trail.is_sent() {
            let trip = self.flow.trip();
            record.upstream_time = trip.took;
            record.retries = Some(trip.retries);
        }
        record.bytes_in = self.flow.bytes_in();
        record.bytes_out = self.flow.bytes_out();
        let counts = &self.flow.counts().operations[self.flow.operation()];
        counts.in_flight.change(-1);
        counts.requests[code::index(record.status)].add(1);
        counts.duration.observe(record.duration);
        if let Some(truncated) = record.truncated {
            let side = match truncated {
                Truncated::Client => Side::Client,
                Truncated::Upstream => Side::Upstream,
            };
            counts.cut[side].add(1);
        }
        self.shared.access_log.write(record);
        if let Some(due) = self.trail.left() {
            let bytes = (record.bytes_in, record.bytes_out);
            let entry = self.trail.entry(record, &due, record.status, bytes, record.duration);
            self.shared.audit_log.write(&entry);
        }
    }
}

fn field<B>(request: &Request<B>, name: HeaderName) -> String {
    request.headers().get(name).map(|value| text(value.as_bytes())).unwrap_or_default()
}

/// What is not UTF-8 is replaced. Nearly all is, and is found to be faster than it is replaced.
fn text(bytes: &[u8]) -> String {
    str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes).into_owned(), str::to_owned)
}
