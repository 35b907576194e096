//! Who may have a connection when there are more clients than slots.
//!
//! While slots are scarce, a network has at most half of them: the rest is for others. A new
//! connection then takes the slot of the connection that has been idle for longest, of the network
//! with the most connections. A connection with a request keeps its slot.

use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use crate::network::Network;

/// The part of all slots that no network with half of them may take.
const RESERVE: usize = 16;
/// Connections that wait for a slot, as many as the kernel's backlog holds.
const WAITING: usize = 1024;
/// The time of a connection that is not idle.
const BUSY: u64 = u64::MAX;

/// The slots that some listeners share.
#[derive(Clone, Debug)]
pub(crate) struct Slots(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    most: usize,
    /// Most slots of one network; 0 means half of them while others wait.
    per_network: usize,
    start: Instant,
    table: Mutex<Table>,
    /// The length of `Table::waiting`, readable without the lock.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u64, Arc<Seat>>,
    last: u64,
    /// Networks without a connection stay until there are many.
    crowds: HashMap<Network, Arc<AtomicUsize>>,
    waiting: Vec<Waiting>,
    /// Connections that were asked to leave and have no request, so they are gone soon.
    leaving: HashSet<u64>,
}

#[derive(Debug)]
struct Waiting {
    crowd: Crowd,
    slot: oneshot::Sender<Slot>,
}

/// The open connections of a network. Trusted proxies are not counted: each stands for many
/// clients.
#[derive(Clone, Debug)]
struct Crowd(Option<(Network, Arc<AtomicUsize>)>);

impl Crowd {
    fn join(&self) {
        if let Some((_, count)) = &self.0 {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn leave(&self) {
        if let Some((_, count)) = &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn size(&self) -> usize {
        self.0.as_ref().map_or(0, |(_, count)| count.load(Ordering::Relaxed))
    }

    fn is(&self, other: &Crowd) -> bool {
        match (&self.0, &other.0) {
            (Some((network, _)), Some((other, _))) => network == other,
            _ => false,
        }
    }
}

#[derive(Debug)]
struct Seat {
    crowd: Crowd,
    /// When it became idle, in nanoseconds after the start, or [`BUSY`].
    idle_since: AtomicU64,
    is_leaving: AtomicBool,
    asked: Notify,
}

impl Seat {
    fn is_idle(&self) -> bool {
        self.idle_since.load(Ordering::SeqCst) != BUSY
    }

    fn is_leaving(&self) -> bool {
        self.is_leaving.load(Ordering::SeqCst)
    }
}

/// What a new connection gets.
#[derive(Debug)]
pub(super) enum Entry {
    Slot(Slot),
    /// A slot, once there is one.
    Later(oneshot::Receiver<Slot>),
    /// The network has too many connections.
    Refused,
}

impl Slots {
    /// Open connections, and most that may be open.
    pub(crate) fn open(&self) -> (usize, usize) {
        (self.0.lock().open.len(), self.0.most)
    }

    /// At most `connections` at once, and `per_network` from one IPv4 address or IPv6 /64. With 0,
    /// a network may have any number while slots are free.
    pub(crate) fn new(connections: usize, per_network: usize) -> Self {
        Self(Arc::new(Shared {
            most: connections,
            per_network,
            start: Instant::now(),
            table: Mutex::default(),
            waiting: AtomicUsize::new(0),
        }))
    }

    /// A slot for a connection from `address`. `is_trusted` says that it is a proxy, whose clients
    /// are not one network.
    pub(super) fn enter(&self, address: IpAddr, is_trusted: bool) -> Entry {
        let mut table = self.0.lock();
        let crowd = if is_trusted { Crowd(None) } else { table.crowd(Network::of(address)) };
        self.0.forget_gone(&mut table);
        let of_network = table.of_network(&crowd);
        if self.0.is_full(&crowd, of_network) {
            return Entry::Refused;
        }
        if table.waiting.is_empty() && self.0.admits(&crowd, &table) {
            let slot = self.0.open(&mut table, crowd);
            if self.0.free(&table) < self.0.reserve() {
                self.0.make_room(&mut table, &slot.seat.crowd);
            }
            return Entry::Slot(slot);
        }
        if of_network >= WAITING / 2 || table.waiting.len() >= WAITING {
            return Entry::Refused;
        }
        let (sender, receiver) = oneshot::channel();
        self.0.make_room(&mut table, &crowd);
        table.waiting.push(Waiting { crowd, slot: sender });
        let admitted = self.0.admit(&mut table);
        drop(table);
        hand_out(admitted);
        Entry::Later(receiver)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(BUSY - 1)
    }

    fn free(&self, table: &Table) -> usize {
        self.most.saturating_sub(table.open.len())
    }

    fn reserve(&self) -> usize {
        self.most / RESERVE
    }

    /// Whether a network has all that it may have, with `waiting` that wait for a slot.
    fn is_full(&self, crowd: &Crowd, waiting: usize) -> bool {
        self.per_network > 0 && crowd.size() + waiting >= self.per_network
    }

    /// Whether a network has its half.
    fn has_share(&self, crowd: &Crowd) -> bool {
        self.per_network == 0 && crowd.size() >= self.most.div_ceil(2)
    }

    fn admits(&self, crowd: &Crowd, table: &Table) -> bool {
        self.free(table) > if self.has_share(crowd) { self.reserve() } else { 0 }
    }

    fn open(self: &Arc<Self>, table: &mut Table, crowd: Crowd) -> Slot {
        crowd.join();
        let seat = Arc::new(Seat {
            crowd,
            idle_since: AtomicU64::new(self.now()),
            is_leaving: AtomicBool::new(false),
            asked: Notify::new(),
        });
        table.last += 1;
        table.open.insert(table.last, seat.clone());
        Slot { number: table.last, seat, shared: self.clone() }
    }

    /// Asks an idle connection to leave for one of `crowd`, unless enough are leaving already.
    fn make_room(&self, table: &mut Table, crowd: &Crowd) {
        if self.free(table) + table.leaving.len() > self.reserve() + table.waiting.len() {
            return;
        }
        let only_own = self.has_share(crowd);
        self.ask_one(table, |seat| !only_own || seat.crowd.is(crowd));
    }

    /// Asks the first idle connection among `candidates` to leave. Returns whether there is one.
    fn ask_one(&self, table: &mut Table, candidates: impl Fn(&Seat) -> bool) -> bool {
        let idle = table.open.iter().filter(|(_, seat)| seat.is_idle() && !seat.is_leaving());
        let idle = idle.filter(|(_, seat)| candidates(seat));
        let first = |&(number, seat): &(&u64, &Arc<Seat>)| {
            (Reverse(seat.crowd.size()), seat.idle_since.load(Ordering::Relaxed), *number)
        };
        let Some((&number, seat)) = idle.min_by_key(first) else { return false };
        let seat = seat.clone();
        table.ask_to_leave(number, &seat);
        true
    }

    /// Forgets those who no longer wait.
    fn forget_gone(&self, table: &mut Table) {
        table.waiting.retain(|waiting| !waiting.slot.is_closed());
        self.waiting.store(table.waiting.len(), Ordering::Relaxed);
    }

    /// Gives free slots to those who wait, the smallest networks first.
    fn admit(self: &Arc<Self>, table: &mut Table) -> Vec<(oneshot::Sender<Slot>, Slot)> {
        let mut admitted = Vec::new();
        self.forget_gone(table);
        loop {
            let waiting = table.waiting.iter().enumerate();
            let admissible = waiting.filter(|(_, waiting)| self.admits(&waiting.crowd, table));
            let Some((next, _)) = admissible.min_by_key(|(_, waiting)| waiting.crowd.size()) else { break };
            let Waiting { crowd, slot } = table.waiting.remove(next);
            admitted.push((slot, self.open(table, crowd)));
        }
        self.waiting.store(table.waiting.len(), Ordering::Relaxed);
        admitted
    }
}

/// To be called without the lock: a slot that nobody waits for any more is dropped.
fn hand_out(admitted: Vec<(oneshot::Sender<Slot>, Slot)>) {
    for (waiting, slot) in admitted {
        _ = waiting.send(slot);
    }
}

impl Table {
    fn crowd(&mut self, network: Network) -> Crowd {
        if self.crowds.len() > 2 * (self.open.len() + WAITING) {
            self.crowds.retain(|_, count| Arc::strong_count(count) > 1);
        }
        let count = self.crowds.entry(network).or_default();
        Crowd(Some((network, count.clone())))
    }

    /// How many of a network wait for a slot.
    fn of_network(&self, crowd: &Crowd) -> usize {
        self.waiting.iter().filter(|waiting| waiting.crowd.is(crowd)).count()
    }

    fn ask_to_leave(&mut self, number: u64, seat: &Seat) {
        seat.is_leaving.store(true, Ordering::SeqCst);
        self.count(number, seat);
        seat.asked.notify_one();
    }

    /// Counts a connection that was asked to leave, as long as it has no request.
    fn count(&mut self, number: u64, seat: &Seat) {
        if seat.is_idle() {
            self.leaving.insert(number);
        } else {
            self.leaving.remove(&number);
        }
    }
}

/// The slot of one connection. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Slot {
    number: u64,
    seat: Arc<Seat>,
    shared: Arc<Shared>,
}

impl Slot {
    /// Records that the connection has a request.
    pub(super) fn busy(&self) {
        self.seat.idle_since.store(BUSY, Ordering::SeqCst);
        // Whoever asks does so under the lock: if not seen here, it sees the request.
        if self.seat.is_leaving() {
            self.shared.lock().count(self.number, &self.seat);
        }
    }

    /// Records that the connection has no request any more. It leaves if others wait.
    pub(super) fn idle(&self) {
        self.seat.idle_since.store(self.shared.now(), Ordering::SeqCst);
        if self.seat.is_leaving() {
            self.shared.lock().count(self.number, &self.seat);
        } else if self.shared.waiting.load(Ordering::Relaxed) > 0 {
            let mut table = self.shared.lock();
            self.shared.forget_gone(&mut table);
            let smallest =
                table.waiting.iter().map(|waiting| &waiting.crowd).min_by_key(|crowd| crowd.size());
            if let Some(crowd) = smallest.cloned() {
                self.shared.make_room(&mut table, &crowd);
            }
        }
    }

    /// Counts the connection, so far that of a trusted proxy, as one from `address`. Returns
    /// whether the network of `address` may have another one. If not, the connection has to end.
    ///
    /// The slot is taken already. A network with its share of scarce slots keeps it only if one of
    /// its own connections is idle, which then leaves.
    #[must_use]
    pub(super) fn move_to(&mut self, address: IpAddr) -> bool {
        let mut table = self.shared.lock();
        let crowd = table.crowd(Network::of(address));
        self.shared.forget_gone(&mut table);
        if self.shared.is_full(&crowd, table.of_network(&crowd)) {
            return false;
        }
        let is_over = self.shared.has_share(&crowd) && self.shared.free(&table) < self.shared.reserve();
        if is_over && !self.shared.ask_one(&mut table, |seat| seat.crowd.is(&crowd)) {
            return false;
        }
        self.seat.crowd.leave();
        crowd.join();
        let idle_since = AtomicU64::new(self.seat.idle_since.load(Ordering::SeqCst));
        let is_leaving = AtomicBool::new(self.seat.is_leaving());
        self.seat = Arc::new(Seat { crowd, idle_since, is_leaving, asked: Notify::new() });
        table.open.insert(self.number, self.seat.clone());
        true
    }

    /// How many connections its network has, this one included. At least one, also of a trusted
    /// proxy.
    pub(super) fn crowd(&self) -> usize {
        self.seat.crowd.size().max(1)
    }

    /// Asks the connection to leave as soon as it has no request.
    pub(super) fn ask_to_leave(&self) {
        self.shared.lock().ask_to_leave(self.number, &self.seat);
    }

    /// Waits until the connection is asked to leave.
    pub(super) async fn asked_to_leave(&self) {
        while !self.seat.is_leaving() {
            self.seat.asked.notified().await;
        }
    }
}

#[cfg(test)]
impl Slot {
    pub(super) fn for_a_test() -> Self {
        match Slots::new(1, 0).enter(IpAddr::from([127, 0, 0, 1]), false) {
            Entry::Slot(slot) => slot,
            entry => panic!("{entry:?}"),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut table = self.shared.lock();
        table.open.remove(&self.number);
        self.seat.crowd.leave();
        table.leaving.remove(&self.number);
        let admitted = if table.waiting.is_empty() { Vec::new() } else { self.shared.admit(&mut table) };
        drop(table);
        hand_out(admitted);
    }
}

#[cfg(test)]
mod tests;
