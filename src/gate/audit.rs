//! Which permitted requests have a line in the audit log, and which wait for that log.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request};

use super::context::RequestContext;
use super::immutable;
use super::refusal::Refusal;
use super::trail::Due;
use crate::access::Permit;
use crate::log::audit::Event;
use crate::registry::name;
use crate::registry::target::Operation;
use crate::state::Told;

impl RequestContext<'_> {
    /// Prepares the line of a permitted request, if it has one.
    ///
    /// # Errors
    /// The request would change the registry, and `log.audit_required` forbids that while the log
    /// cannot be written.
    pub(super) async fn audit<B>(&self, permit: &Permit, request: &Request<B>) -> Result<(), Refusal> {
        let log = &self.gate.shared.audit_log;
        if !log.is_on() {
            return Ok(());
        }
        let settings = &self.state.config.log;
        let operation = self.target.operation;
        if settings.audit_required && operation.changes() && !log.is_writable().await {
            return Err(Refusal::Unaudited);
        }
        let event = match operation {
            Operation::ManifestPut => Event::Push,
            Operation::ManifestGet if !self.log.is_head() => Event::Pull,
            Operation::ManifestDelete | Operation::BlobDelete => Event::Delete,
            Operation::UploadStart | Operation::UploadFinish if settings.audit_uploads => Event::Upload,
            _ => return Ok(()),
        };
        let repository = self.target.repository.unwrap_or_default();
        let reference = self.target.reference.unwrap_or_default();
        let mut due = Due {
            rule: self.state.rules.granting_all(permit.identity(), repository, operation.rights()),
            ..Due::new(event)
        };
        if event == Event::Push {
            let tags = immutable::pushed(reference, request.uri().query().unwrap_or_default());
            let tags: Vec<String> = tags.into_iter().collect();
            due.tag = Some(tags.join(",")).filter(|tags| !tags.is_empty());
            due.media_type = request.headers().get(CONTENT_TYPE).map(media_type);
        }
        if event == Event::Pull && name::is_digest(reference) {
            let user = permit.identity().user().map(ToString::to_string);
            due.tag = self.gate.shared.resolved_tags.find(Told {
                client: self.client.address,
                user: user.as_deref(),
                repository,
                digest: reference,
            });
        }
        self.log.trail().expect(due);
        Ok(())
    }
}

fn media_type(field: &HeaderValue) -> String {
    String::from_utf8_lossy(field.as_bytes()).into_owned()
}
