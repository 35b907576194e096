//! What all connections to the admin listener share.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::timeout;

use super::page::Page;
use crate::server::heartbeat::Heartbeat;
use crate::server::workers::WorkersView;
use crate::state::Shared;

/// How long the end of the process waits for the last answers.
const LAST_ANSWERS: Duration = Duration::from_millis(500);

/// The admin listener without its sockets. It lives on the main thread.
pub(crate) struct AdminServer {
    pub(super) shared: Arc<Shared>,
    pub(super) heartbeat: Heartbeat,
    pub(super) page: Page,
    /// Whether the process ends.
    end: watch::Sender<bool>,
}

impl AdminServer {
    pub(crate) fn new(shared: Arc<Shared>, workers: WorkersView) -> Rc<Self> {
        let heartbeat = Heartbeat::new(workers);
        Rc::new(Self { shared, heartbeat, page: Page::new(), end: watch::Sender::new(false) })
    }

    /// Becomes true when the process ends. Whoever holds it is waited for, for a moment.
    pub(super) fn end(&self) -> watch::Receiver<bool> {
        self.end.subscribe()
    }

    /// Ends the connections, those that watch too.
    pub(crate) async fn finish(&self) {
        self.end.send_replace(true);
        _ = timeout(LAST_ANSWERS, self.end.closed()).await;
    }
}
