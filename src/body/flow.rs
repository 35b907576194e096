//! The progress of one request.

use std::cell::{Cell, OnceCell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::backlog::{self, Backlog, Connection};
use super::readers::Transfer;
use super::{FairQueue, Piece, Shown, TURN};
use crate::metrics::{Action, Counts, OPERATIONS, RepositoryCounts};
use crate::network::Network;

/// What a client did wrong while sending its request body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClientFault {
    /// Invalid framing, or a forbidden trailer.
    Malformed,
    /// The connection or the stream ended before the body did.
    Gone,
    /// More bytes than [`Limits`](super::Limits) allow.
    TooLarge,
    /// No byte within the idle time, or a rate below the minimum.
    TooSlow,
}

/// The operation of a request that is not known yet, the last of its names.
const OTHER: usize = OPERATIONS - 1;

/// The way of one request to the registry, up to the head of its answer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trip {
    begun: Option<Instant>,
    /// From the attempt to send it to the head of the answer, with a new connection and repetitions
    /// in between; `None` as long as there is no answer.
    pub took: Option<Duration>,
    /// How often it was repeated.
    pub retries: u32,
}

/// The progress of one request: the bytes it has moved, which side it waits for, and its turn. Its
/// two bodies write it. The log, the time limits and the wait for the response read it.
#[derive(Debug)]
pub(crate) struct Flow {
    bytes_in: Cell<u64>,
    fault: Cell<Option<ClientFault>>,
    upload_moved: Cell<Instant>,
    waits_for_upload: Cell<bool>,
    trip: Cell<Trip>,
    /// Bytes moved in the current turn, both ways.
    moved: Cell<u64>,
    turns: Rc<FairQueue>,
    backlog: Arc<Backlog>,
    /// To this, the pieces of the answer show themselves; see [`Piece`].
    shown: Option<Rc<Shown>>,
    transfer: Rc<Transfer>,
    /// The number of the turn that it has queued for.
    awaited: Cell<Option<u64>>,
    /// What its bytes count for: the position of the operation, and the repository.
    operation: Cell<usize>,
    repository: OnceCell<(Arc<RepositoryCounts>, Action)>,
    server: RefCell<Option<(Arc<str>, Option<SocketAddr>)>>,
}

impl Flow {
    /// A request that has moved nothing. `turns` belong to its worker.
    pub(crate) fn new(turns: Rc<FairQueue>) -> Self {
        Self::of_connection(turns, &Arc::default(), None)
    }

    /// The same for a request of this connection. The pieces of its answer show themselves to
    /// `shown`.
    pub(crate) fn of_connection(
        turns: Rc<FairQueue>,
        connection: &Arc<Connection>,
        shown: Option<Rc<Shown>>,
    ) -> Self {
        let begun = Instant::now();
        Self {
            backlog: Backlog::new(connection.clone()),
            shown,
            transfer: Transfer::new(begun),
            bytes_in: Cell::new(0),
            fault: Cell::new(None),
            upload_moved: Cell::new(begun),
            waits_for_upload: Cell::new(false),
            trip: Cell::default(),
            moved: Cell::new(0),
            turns,
            awaited: Cell::new(None),
            operation: Cell::new(OTHER),
            repository: OnceCell::new(),
            server: RefCell::default(),
        }
    }

    /// Bytes of the request body received, without framing.
    pub(crate) fn bytes_in(&self) -> u64 {
        self.bytes_in.get()
    }

    /// Bytes of the response body handed to the client's connection, without framing.
    pub(crate) fn bytes_out(&self) -> u64 {
        self.transfer.bytes_out.get()
    }

    /// The time since its head has arrived.
    pub(crate) fn age(&self) -> Duration {
        self.transfer.begun.elapsed()
    }

    /// What the worker of the request has counted.
    pub(crate) fn counts(&self) -> &Counts {
        &self.turns.counts
    }

    /// The position of the operation, see [`Flow::set_operation`].
    pub(crate) fn operation(&self) -> usize {
        self.operation.get()
    }

    /// Bytes from now on count for the operation at this position among the names.
    pub(crate) fn set_operation(&self, position: usize) {
        self.operation.set(position);
    }

    /// Counts the request, and its bytes from now on, for a repository.
    pub(crate) fn count_for(&self, repository: &Arc<RepositoryCounts>, action: Action) {
        if let Some(amounts) = repository.of_worker(self.counts().worker, action) {
            amounts.requests.add(1);
        }
        _ = self.repository.set((repository.clone(), action));
    }

    fn count_bytes(&self, bytes: u64) {
        if let Some((repository, action)) = self.repository.get()
            && let Some(amounts) = repository.of_worker(self.counts().worker, *action)
        {
            amounts.bytes.add(bytes);
        }
    }

    /// The fault that ended the request body, if any.
    pub(crate) fn fault(&self) -> Option<ClientFault> {
        self.fault.get()
    }

    /// Whether the response waits for the client to read the bytes handed to its connection.
    pub(crate) fn waits_for_download(&self) -> bool {
        self.transfer.waits_for_client.get()
    }

    /// How long the upstream has had every byte of the request that has arrived. Zero while
    /// tidegate waits for the client.
    pub(crate) fn upstream_silence(&self) -> Duration {
        if self.waits_for_upload.get() { Duration::ZERO } else { self.upload_moved.get().elapsed() }
    }

    /// The way of the request that was sent to the registry last: the client's, or a question about
    /// it.
    pub(crate) fn trip(&self) -> Trip {
        self.trip.get()
    }

    /// Records that nothing was sent to the registry yet.
    pub(crate) fn forget_trip(&self) {
        self.trip.take();
    }

    /// Records that a request is about to be sent to the registry, at this moment.
    pub(crate) fn sends(&self, moment: Instant) {
        self.trip.set(Trip { begun: Some(moment), ..Trip::default() });
    }

    /// Records the server that the request goes to, and the address that its name was resolved to.
    pub(crate) fn goes_to(&self, server: &Arc<str>, address: Option<SocketAddr>) {
        self.server.replace(Some((server.clone(), address)));
    }

    /// The server that the request went to last, and its address if it has a name.
    pub(crate) fn server(&self) -> Option<(Arc<str>, Option<SocketAddr>)> {
        self.server.borrow().clone()
    }

    /// Records that it has to be repeated.
    pub(crate) fn sends_again(&self) {
        let trip = self.trip.get();
        self.trip.set(Trip { retries: trip.retries + 1, ..trip });
    }

    /// Records that the head of the answer arrived at this moment.
    pub(crate) fn is_answered(&self, moment: Instant) {
        let trip = self.trip.get();
        self.trip.set(Trip { took: trip.begun.map(|begun| moment - begun), ..trip });
    }

    /// Whether the turn is used up. Its body then returns `Pending`, and the task is woken for the
    /// next turn.
    pub(crate) fn yields(&self, cx: &Context<'_>) -> bool {
        if self.awaited.get().is_none() && self.moved.get() < TURN {
            return false;
        }
        let number = self.awaited.get().unwrap_or_else(|| self.turns.queue(cx));
        if self.turns.has_given(number, cx) {
            self.awaited.set(None);
            self.moved.set(0);
            return false;
        }
        self.awaited.set(Some(number));
        true
    }

    /// Waits for the next turn, before work that takes as long as a whole turn.
    pub(crate) async fn next_turn(&self) {
        self.moved.set(TURN);
        poll_fn(|cx| if self.yields(cx) { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    /// Bytes of the response body for the client's connection.
    pub(crate) fn deliver(&self, bytes: Bytes) -> Piece {
        self.delivered(bytes.len() as u64);
        Piece::new(bytes, self.shown.clone())
    }

    /// Records that `bytes` of the response body were handed to the client's connection.
    pub(crate) fn delivered(&self, bytes: u64) {
        self.transfer.bytes_out.set(self.transfer.bytes_out.get() + bytes);
        self.counts().operations[self.operation.get()].sent.add(bytes);
        self.count_bytes(bytes);
        self.moved.set(self.moved.get() + bytes);
        self.transfer.waits_for_client.set(true);
    }

    /// Records that the client's connection asks for more of the response.
    pub(crate) fn asked_for_more(&self) {
        self.transfer.waits_for_client.set(false);
    }

    /// Records whose request it is.
    pub(crate) fn client(&self, address: IpAddr) {
        self.transfer.client.set(Network::of(address));
    }

    /// The network of the client.
    pub(crate) fn network(&self) -> Network {
        self.transfer.client.get()
    }

    /// How many bytes of the response may be read at once; waits while too many wait for clients.
    pub(crate) fn poll_room(&self, cx: &Context<'_>) -> Poll<u64> {
        if backlog::is_exhausted() {
            self.turns.readers.end_slowest(1, |_| true);
        }
        let room = self.backlog.poll_room(cx);
        if room.is_pending() {
            self.transfer.waits_for_client.set(true);
        }
        room
    }

    /// Counts bytes of the response until the client has taken them.
    pub(crate) fn hold(&self, bytes: Bytes, is_last: bool) -> Bytes {
        self.backlog.hold(bytes, is_last)
    }

    /// Lists a transfer among those that may be ended for others.
    pub(crate) fn may_be_ended(&self) {
        self.turns.readers.list(&self.transfer);
    }

    /// Ends the slowest transfers of the worker, of networks that `may_lose` some, until `count`
    /// are ending.
    pub(crate) fn end_slowest(&self, count: usize, may_lose: impl Fn(Network) -> bool) {
        self.turns.readers.end_slowest(count, may_lose);
    }

    /// Whether the transfer is to end because others need what it holds.
    pub(crate) fn is_ended(&self) -> bool {
        self.transfer.ended.get()
    }

    pub(super) fn received(&self, bytes: u64) {
        self.bytes_in.set(self.bytes_in.get() + bytes);
        self.counts().operations[self.operation.get()].received.add(bytes);
        self.count_bytes(bytes);
        self.moved.set(self.moved.get() + bytes);
        self.upload_moved.set(Instant::now());
        self.waits_for_upload.set(false);
    }

    pub(super) fn waits_for_upload(&self, waits: bool) {
        if self.waits_for_upload.replace(waits) && !waits {
            self.upload_moved.set(Instant::now());
        }
    }

    pub(super) fn fail(&self, fault: ClientFault) {
        self.waits_for_upload.set(false);
        self.fault.set(Some(fault));
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::Waker;

    use super::*;

    #[tokio::test]
    async fn after_its_turn_a_request_waits_for_the_next() {
        let (turns, cx) = (Rc::new(FairQueue::default()), Context::from_waker(Waker::noop()));
        let (first, second) = (Flow::new(turns.clone()), Flow::new(turns.clone()));
        first.delivered(TURN - 2);
        first.received(1);
        assert!(!first.yields(&cx));
        first.delivered(1);
        second.delivered(TURN);
        assert!(first.yields(&cx) && second.yields(&cx) && first.yields(&cx));

        let mut giving = pin!(turns.give());
        assert!(giving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(second.yields(&cx) && !first.yields(&cx) && !first.yields(&cx));
        tokio::task::yield_now().await;
        assert!(giving.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        assert!(!second.yields(&cx));
        second.delivered(TURN);
        assert!(second.yields(&cx));
    }

    #[tokio::test]
    async fn a_request_that_has_moved_nothing_can_wait_for_a_turn_too() {
        let turns = Rc::new(FairQueue::default());
        let flow = Flow::new(turns.clone());
        let (mut giving, mut waiting) = (pin!(turns.give()), pin!(flow.next_turn()));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        assert!(giving.as_mut().poll(&mut cx).is_pending());
        assert!(waiting.as_mut().poll(&mut cx).is_ready());
    }
}
