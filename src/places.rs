//! Places for requests of a worker, shared out to the networks of the clients.
//!
//! A network may have as many places as it leaves free: the dynamic threshold of Choudhury and
//! Hahne, "Dynamic queue length thresholds for shared-memory packet switches" (1998). One network
//! has at most half of them, the next a quarter, and a newcomer finds one.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::network::Network;
use crate::turns::{Queued, Ticket, Turns};

/// Requests that wait for a place.
const WAITING: usize = 256;

/// The places of one kind that a worker has.
pub(crate) struct Places(RefCell<Table>);

struct Table {
    shares: Shares,
    waiting: Turns<Network, Network, oneshot::Sender<Place>>,
}

struct Shares {
    free: usize,
    /// The networks that have places, in order, and how many. A list, because it is the same one
    /// or few for most requests.
    taken: Vec<(Network, usize)>,
}

impl Shares {
    /// Where a network is in the list, or belongs.
    fn find(&self, network: Network) -> Result<usize, usize> {
        self.taken.binary_search_by_key(&network, |(network, _)| *network)
    }

    fn of(&self, network: Network) -> usize {
        self.find(network).map_or(0, |at| self.taken[at].1)
    }

    fn may_take(&self, network: Network) -> bool {
        self.of(network) < self.free
    }

    fn take(&mut self, network: Network) {
        self.free -= 1;
        match self.find(network) {
            Ok(at) => self.taken[at].1 += 1,
            Err(at) => self.taken.insert(at, (network, 1)),
        }
    }

    fn put_back(&mut self, network: Network) {
        self.free += 1;
        if let Ok(at) = self.find(network) {
            self.taken[at].1 -= 1;
            if self.taken[at].1 == 0 {
                self.taken.remove(at);
            }
        }
    }
}

impl Places {
    /// This many places. An IPv6 /48 counts as one network.
    pub(crate) fn new(places: usize) -> Rc<Self> {
        let shares = Shares { free: places, taken: Vec::new() };
        Rc::new(Self(RefCell::new(Table { shares, waiting: Turns::new(WAITING) })))
    }

    /// A place for a request from `network`, if there is one for it now.
    pub(crate) fn take(self: &Rc<Self>, network: Network) -> Option<Place> {
        let network = network.site();
        let Table { shares, .. } = &mut *self.0.borrow_mut();
        // Nobody of this network waits then: a place that becomes free is given away at once.
        shares.may_take(network).then(|| {
            shares.take(network);
            Place { places: self.clone(), network }
        })
    }

    /// A place for a request from `network`, waited for if there is none. `None` after `patience`,
    /// or if too many wait.
    pub(crate) async fn enter(self: &Rc<Self>, network: Network, patience: Duration) -> Option<Place> {
        if let Some(place) = self.take(network) {
            return Some(place);
        }
        let mut waiting = self.queue(network)?;
        timeout(patience, waiting.place()).await.ok()?
    }

    /// Queues for a place. `None` if too many wait, and no network has more waiting than this one.
    pub(crate) fn queue(self: &Rc<Self>, network: Network) -> Option<Waiting> {
        let network = network.site();
        let (sender, place) = oneshot::channel();
        let pushed = self.0.borrow_mut().waiting.push(network, network, sender);
        let Queued { ticket, displaced } = pushed.ok()?;
        drop(displaced);
        Some(Waiting { places: self.clone(), ticket, network, place })
    }

    /// Gives the free places to those whose turn it is.
    fn admit(self: &Rc<Self>) {
        loop {
            let mut table = self.0.borrow_mut();
            let Table { shares, waiting } = &mut *table;
            let Some(next) = waiting.take_if(|network| shares.may_take(*network)) else { return };
            shares.take(next.group);
            drop(table);
            // Whoever stops waiting has taken its sender out of the queue.
            _ = next.item.send(Place { places: self.clone(), network: next.group });
        }
    }
}

/// The place of one request. Dropping it gives it to the next.
pub(crate) struct Place {
    places: Rc<Places>,
    network: Network,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.0.borrow_mut().shares.put_back(self.network);
        self.places.admit();
    }
}

/// A request in the queue. Dropping it leaves the queue.
pub(crate) struct Waiting {
    places: Rc<Places>,
    ticket: Ticket,
    network: Network,
    place: oneshot::Receiver<Place>,
}

impl Waiting {
    /// Waits for the place. `None` if a network with less waiting needs this place in the queue.
    pub(crate) async fn place(&mut self) -> Option<Place> {
        (&mut self.place).await.ok()
    }

    /// How many requests wait.
    pub(crate) fn count(&self) -> usize {
        self.places.0.borrow().waiting.len()
    }

    /// Whether another network has at least as many places as this one.
    pub(crate) fn has_no_more_than(&self, other: Network) -> bool {
        let Table { shares, .. } = &*self.places.0.borrow();
        shares.of(self.network) <= shares.of(other.site())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let left = self.places.0.borrow_mut().waiting.remove(self.ticket);
        drop(left);
    }
}

#[cfg(test)]
mod tests;
