//! Requests that go on without their client. tidegate waits for the end of what has begun at the
//! registry, which may complete it although nobody reads the answer.

use std::rc::Rc;
use std::sync::Arc;

use http::{Request, Response};
use tokio::sync::{Semaphore, oneshot};
use tokio::task::spawn_local;

use super::late_line::LateLine;
use super::refusal::Refusal;
use crate::access::Permit;
use crate::body::{ClientBody, Flow};
use crate::state::TagLock;
use crate::upstream::{Answer, Destination, Upstream, UpstreamError};

/// Most of these requests at once on each worker; more wait for their turn. The registry has no
/// more places.
const MOST: u32 = 2048;

/// The requests of one worker that may outlive their clients.
pub(crate) struct Unattended(Arc<Semaphore>);

/// What a request keeps until the registry has answered.
pub(super) struct Kept {
    pub(super) locks: Vec<TagLock>,
    pub(super) late: Option<LateLine>,
}

impl Default for Unattended {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST as usize)))
    }
}

impl Unattended {
    /// Waits until none is left.
    pub(crate) async fn ended(&self) {
        // The semaphore is never closed.
        _ = self.0.acquire_many(MOST).await;
    }

    /// Sends a request, and waits for the head of its answer. If the caller does not wait that
    /// long, the request still goes on, unless a part of its body is missing: `kept` lasts until
    /// the registry has answered, its connection has ended, or it was silent for
    /// `upstream.read_timeout`. The line goes back to a caller that does wait.
    pub(super) async fn send(
        &self,
        upstream: &Rc<Upstream>,
        to: Destination<'_>,
        permit: Permit,
        request: Box<Request<ClientBody>>,
        flow: &Rc<Flow>,
        kept: Kept,
    ) -> Result<(Result<Response<Answer>, UpstreamError>, Option<LateLine>), Refusal> {
        let lost = || Refusal::BadGateway("the task that waited for it has ended".to_owned());
        let place = self.0.clone().acquire_owned().await.map_err(|_| lost())?;
        let (upstream, flow) = (upstream.clone(), flow.clone());
        let (registry, part) = (to.registry.clone(), to.part);
        let (tell, told) = oneshot::channel();
        let Kept { locks, mut late } = kept;
        spawn_local(async move {
            let to = Destination { registry: &registry, part };
            let answer = upstream.send(&permit, to, request, &flow).await;
            drop((locks, place));
            if let (Some(late), Ok(answer)) = (&mut late, &answer) {
                late.answered(answer);
            }
            // Fails when the client has left.
            _ = tell.send((answer, late));
        });
        told.await.map_err(|_| lost())
    }
}
