//! What the connections of one worker share.

use std::rc::Rc;
use std::sync::Arc;

use tokio::sync::watch;

use super::field_names::FieldNames;
use super::load::Load;
use super::phase::Phase;
use crate::body::FairQueue;
use crate::gate::Gate;
use crate::metrics::Counts;

/// A worker, as its connections see it.
pub(super) struct Worker {
    pub(super) gate: Gate,
    pub(super) turns: Rc<FairQueue>,
    pub(super) field_names: FieldNames,
    pub(super) load: Arc<Load>,
    pub(super) counts: Arc<Counts>,
    pub(super) phase: watch::Receiver<Phase>,
}

impl Worker {
    /// Waits until the process has entered `phase` or a later one.
    pub(super) async fn reached(&self, phase: Phase) {
        // Fails when the process no longer owns its workers; then it has reached every phase.
        _ = self.phase.clone().wait_for(|now| *now >= phase).await;
    }
}
