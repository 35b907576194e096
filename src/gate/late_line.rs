//! The line of the audit log for a change that goes on without its client.

use std::rc::Rc;

use http::Response;

use super::trail::Trail;
use crate::body::Flow;
use crate::log::audit::{AuditLog, Entry};
use crate::log::record::{Record, Truncated};
use crate::registry::digest;

/// The reason when the registry has answered, and the client has not waited for that.
const UNSEEN: &str = "the client left before the answer";

/// Written when dropped, unless the client has waited for the answer.
pub(super) struct LateLine {
    pub(super) log: AuditLog,
    pub(super) trail: Trail,
    pub(super) record: Box<Record>,
    pub(super) flow: Rc<Flow>,
    pub(super) is_answered: bool,
}

impl LateLine {
    /// The registry has answered.
    pub(super) fn answered<B>(&mut self, response: &Response<B>) {
        self.record.status = response.status().as_u16();
        self.record.digest = digest::named(response.headers());
        self.is_answered = true;
    }

    /// The client is there, and its request writes the line.
    pub(super) fn give_back(mut self, to: &Trail) {
        _ = self.trail.left();
        to.take_back();
    }
}

impl Drop for LateLine {
    fn drop(&mut self) {
        let Some(due) = self.trail.left() else { return };
        if !self.is_answered {
            self.record.truncated = Some(Truncated::Client);
        }
        let (status, bytes) = (self.record.status, (self.flow.bytes_in(), 0));
        let entry = self.trail.entry(&self.record, &due, status, bytes, self.flow.age());
        self.log.write(&Entry { reason: entry.reason.or(Some(UNSEEN)), ..entry });
    }
}
