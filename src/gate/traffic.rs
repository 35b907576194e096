//! What a permitted request counts as.

use http::header::{CONTENT_LENGTH, USER_AGENT};
use http::{HeaderValue, Method, Request};

use super::context::RequestContext;
use super::head_checks;
use super::transfers::New;
use crate::access::Permit;
use crate::body::UnreadBody;
use crate::metrics::{Action, Direction};
use crate::registry::rights::Rights;
use crate::registry::target::Operation;

impl RequestContext<'_> {
    /// Counts a permitted request for its repository, and lists it if it moves a layer.
    pub(super) fn begin_transfer(&self, permit: &Permit, request: &Request<UnreadBody>) {
        let (Some(repository), operation) = (self.target.repository, self.target.operation) else { return };
        if let Some(action) = action(operation) {
            self.flow.count_for(self.state.counts_of(repository), action);
        }
        let Some(direction) = direction(operation, request) else { return };
        let field = |name| request.headers().get(name).map(HeaderValue::as_bytes).unwrap_or_default();
        let length = str::from_utf8(field(CONTENT_LENGTH)).ok().and_then(|length| length.parse().ok());
        let new = New {
            id: self.log.id(),
            direction,
            operation,
            repository: repository.to_owned(),
            reference: self.target.reference.map(str::to_owned),
            user: permit.identity().user().map(ToString::to_string),
            client: self.client.address,
            user_agent: String::from_utf8_lossy(field(USER_AGENT)).into_owned(),
            size: length.filter(|_| direction == Direction::Push),
        };
        self.log.list(self.gate.transfers.list(new, self.flow.clone()));
    }
}

fn action(operation: Operation) -> Option<Action> {
    let rights = operation.rights();
    if rights.contains(Rights::DELETE) {
        Some(Action::Delete)
    } else if rights.contains(Rights::PUSH) {
        Some(Action::Push)
    } else if rights.contains(Rights::PULL) {
        Some(Action::Pull)
    } else {
        None
    }
}

/// The direction of the layer that a request moves, if it moves one.
fn direction(operation: Operation, request: &Request<UnreadBody>) -> Option<Direction> {
    match operation {
        Operation::BlobGet => (request.method() == Method::GET).then_some(Direction::Pull),
        Operation::UploadStart | Operation::UploadChunk | Operation::UploadFinish => {
            head_checks::has_body(request).then_some(Direction::Push)
        }
        _ => None,
    }
}
