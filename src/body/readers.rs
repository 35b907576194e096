//! The transfers of a worker whose clients are waited for.

use std::cell::{Cell, RefCell};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::{Rc, Weak};
use std::time::Duration;

use tokio::time::Instant;

use crate::network::Network;

/// The age from which on a transfer can be judged.
const YOUNG: Duration = Duration::from_secs(2);

/// What decides whether a transfer ends for others.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) client: Cell<Network>,
    pub(super) begun: Instant,
    /// Bytes of the response handed to the client's connection.
    pub(super) bytes_out: Cell<u64>,
    pub(super) waits_for_client: Cell<bool>,
    /// Whether it is to end.
    pub(super) ended: Cell<bool>,
}

impl Transfer {
    pub(super) fn new(begun: Instant) -> Rc<Self> {
        Rc::new(Self {
            client: Cell::new(Network::of(IpAddr::V4(Ipv4Addr::UNSPECIFIED))),
            begun,
            bytes_out: Cell::new(0),
            waits_for_client: Cell::new(false),
            ended: Cell::new(false),
        })
    }

    /// Bytes per second, on average.
    fn rate(&self) -> u64 {
        self.bytes_out.get() / self.begun.elapsed().as_secs().max(1)
    }
}

/// Transfers that have run for a while.
#[derive(Debug, Default)]
pub(super) struct Readers(RefCell<Vec<Weak<Transfer>>>);

impl Readers {
    pub(super) fn list(&self, transfer: &Rc<Transfer>) {
        let mut listed = self.0.borrow_mut();
        if listed.len() == listed.capacity() {
            forget_finished(&mut listed);
            // As many again, so that this rarely happens.
            let running = listed.len();
            listed.reserve(running + 1);
        }
        listed.push(Rc::downgrade(transfer));
    }

    /// Ends the slowest transfers of the networks that `may_lose` some, until `count` are ending.
    /// Their places and their memory are free within a second.
    pub(super) fn end_slowest(&self, count: usize, may_lose: impl Fn(Network) -> bool) {
        let mut listed = self.0.borrow_mut();
        forget_finished(&mut listed);
        let transfers: Vec<Rc<Transfer>> = listed.iter().filter_map(Weak::upgrade).collect();
        let ending = transfers.iter().filter(|transfer| transfer.ended.get()).count();
        let may_end = |transfer: &&Rc<Transfer>| {
            !transfer.ended.get()
                && transfer.waits_for_client.get()
                && transfer.begun.elapsed() >= YOUNG
                && may_lose(transfer.client.get())
        };
        let mut slow: Vec<&Rc<Transfer>> = transfers.iter().filter(may_end).collect();
        slow.sort_by_cached_key(|transfer| transfer.rate());
        for transfer in slow.into_iter().take(count.saturating_sub(ending)) {
            transfer.ended.set(true);
        }
    }
}

/// Removes the transfers that have finished. The memory of a transfer is in use while it is listed.
fn forget_finished(listed: &mut Vec<Weak<Transfer>>) {
    listed.retain(|transfer| transfer.strong_count() > 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_transfers_do_not_stay_listed() {
        let readers = Readers::default();
        let running: Vec<_> = (0..100).map(|_| Transfer::new(Instant::now())).collect();
        for transfer in &running {
            readers.list(transfer);
            for _ in 0..1000 {
                readers.list(&Transfer::new(Instant::now()));
            }
        }
        let listed = readers.0.borrow();
        assert!(listed.len() <= 4 * running.len(), "{} are listed", listed.len());
        assert_eq!(listed.iter().filter_map(Weak::upgrade).count(), running.len());
    }
}
