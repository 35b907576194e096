//! The account of one request for the access log.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::SystemTime;

use http::header::{HOST, USER_AGENT};
use http::{HeaderName, Request, StatusCode, Version};
use tokio::time::Instant;

use crate::access::Identity;
use crate::body::Flow;
use crate::config::ServerAddress;
use crate::header::forwarded::Client;
use crate::log::access::{Record, Truncated};
use crate::registry::target::Target;
use crate::state::Shared;
use crate::tls::PresentedCertificate;
use crate::upstream::AnswerError;

/// The status in the log when the client left before it got one.
const CLIENT_LEFT: u16 = 499;

/// Collects what is learnt about a request and writes it when dropped, which is when the last byte
/// of the response has gone, or the client has.
pub(super) struct RequestLog {
    shared: Arc<Shared>,
    flow: Rc<Flow>,
    begun: Instant,
    complete: bool,
    record: Record,
}

impl RequestLog {
    pub(super) fn open<B>(shared: Arc<Shared>, peer: IpAddr, request: &Request<B>, flow: Rc<Flow>) -> Self {
        let host = request.uri().authority().map(|authority| authority.as_str().to_owned());
        let record = Record {
            time: SystemTime::now(),
            id: format!("{:x}", shared.next_request()),
            peer,
            client: peer,
            user: None,
            claimed: None,
            certificate: None,
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            version: request.version(),
            host: host.unwrap_or_else(|| text(request, HOST)),
            operation: "",
            repository: None,
            reference: None,
            status: CLIENT_LEFT,
            bytes_in: 0,
            bytes_out: 0,
            duration: Default::default(),
            first_byte: None,
            upstream: None,
            user_agent: text(request, USER_AGENT),
            truncated: None,
            reason: None,
        };
        Self { shared, flow, begun: Instant::now(), complete: false, record }
    }

    pub(super) fn version(&self) -> Version {
        self.record.version
    }

    pub(super) fn is_head(&self) -> bool {
        self.record.method == "HEAD"
    }

    pub(super) fn learn(&mut self, client: &Client, target: &Target<'_>) {
        self.record.client = client.address;
        self.record.operation = target.operation.as_str();
        self.record.repository = target.repository.map(str::to_owned);
        self.record.reference = target.reference.map(str::to_owned);
    }

    /// It asks for a token.
    pub(super) fn asks_for_token(&mut self) {
        self.record.operation = super::token::OPERATION;
    }

    pub(super) fn user(&mut self, identity: &Identity) {
        if let Identity::User(name) = identity {
            self.record.user = Some(String::from_utf8_lossy(name).into_owned());
        }
    }

    /// What a client says who has not proven it.
    pub(super) fn claimed(&mut self, user: &[u8]) {
        self.record.claimed = Some(String::from_utf8_lossy(user).into_owned());
    }

    pub(super) fn certificate(&mut self, shown: &PresentedCertificate) {
        self.record.certificate = Some(shown.label().to_owned());
    }

    pub(super) fn upstream(&mut self, server: &ServerAddress) {
        self.record.upstream = Some(server.to_string());
    }

    pub(super) fn refused(&mut self, reason: &'static str) {
        self.record.reason = Some(reason);
    }

    pub(super) fn answered(&mut self, status: StatusCode) {
        self.record.status = status.as_u16();
        self.record.first_byte = Some(self.begun.elapsed());
        // A 401 of our own comes before the registry is asked.
        if status == StatusCode::UNAUTHORIZED && self.record.upstream.is_some() {
            self.record.reason = Some("the registry itself asks for credentials, see upstream.authorization");
        }
    }

    pub(super) fn truncated(&mut self, error: &AnswerError) {
        self.record.truncated = Some(match error {
            AnswerError::Client => Truncated::Client,
            AnswerError::Truncated(_) | AnswerError::Silent => Truncated::Upstream,
        });
    }

    pub(super) fn finished(&mut self) {
        self.complete = true;
    }
}

impl Drop for RequestLog {
    fn drop(&mut self) {
        let record = &mut self.record;
        if self.flow.fault().is_some() || (!self.complete && record.truncated.is_none()) {
            record.truncated = Some(Truncated::Client);
        }
        record.duration = self.begun.elapsed();
        record.bytes_in = self.flow.bytes_in();
        record.bytes_out = self.flow.bytes_out();
        self.shared.access_log.write(record);
    }
}

fn text<B>(request: &Request<B>, name: HeaderName) -> String {
    let value = request.headers().get(name);
    value.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}
