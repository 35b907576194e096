//! A bounded queue that is shared out among those who wait in it.
//!
//! Every waiting item has a turn, and the lowest is the next. The turns of one member are
//! [`MEMBER`] apart, those of a group of members are [`GROUP`] apart. A new member
//! therefore overtakes those who have much waiting, and a group gains little by many members.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// From one turn of a member to the next.
const MEMBER: u64 = 4;
/// From one turn of a group to the next: a group counts for at most four members.
const GROUP: u64 = 1;

/// Items that wait for their turn, each for a member of a group.
pub(crate) struct Turns<G, M, T> {
    most: usize,
    /// The turn of the latest item that was taken.
    now: u64,
    tickets: u64,
    waiting: BTreeMap<Ticket, Waiting<G, M, T>>,
    groups: Accounts<G>,
    members: Accounts<M>,
}

/// The place of an item in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    turn: u64,
    number: u64,
}

struct Waiting<G, M, T> {
    group: G,
    member: M,
    item: T,
}

/// An item whose turn has come.
pub(crate) struct Taken<G, T> {
    pub ticket: Ticket,
    pub group: G,
    pub item: T,
}

/// An item that has a place, and the one that lost its place to it.
pub(crate) struct Queued<T> {
    pub ticket: Ticket,
    pub displaced: Option<T>,
}

impl<G: Eq + Hash + Clone, M: Eq + Hash + Clone, T> Turns<G, M, T> {
    /// An empty queue for at most `most` items.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            now: 0,
            tickets: 0,
            waiting: BTreeMap::new(),
            groups: Accounts::new(GROUP),
            members: Accounts::new(MEMBER),
        }
    }

    /// Queues an item for a member of a group. If the queue is full, the item with the last turn
    /// loses its place: the newest of the member that has the most waiting.
    ///
    /// # Errors
    /// The item itself, if it would have the last turn.
    pub(crate) fn push(&mut self, group: G, member: M, item: T) -> Result<Queued<T>, T> {
        let turn = self.now.max(self.groups.next(&group)).max(self.members.next(&member));
        let mut displaced = None;
        if self.waiting.len() >= self.most {
            match self.waiting.last_key_value() {
                Some((last, _)) if turn < last.turn => displaced = self.remove(*last),
                _ => return Err(item),
            }
        }
        self.groups.add(&group, self.now);
        self.members.add(&member, self.now);
        self.tickets += 1;
        let ticket = Ticket { turn, number: self.tickets };
        self.waiting.insert(ticket, Waiting { group, member, item });
        Ok(Queued { ticket, displaced })
    }

    /// How many items wait.
    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the next item.
    pub(crate) fn take(&mut self) -> Option<T> {
        self.take_if(|_| true).map(|taken| taken.item)
    }

    /// Takes the next item of a group that `may` have one.
    pub(crate) fn take_if(&mut self, may: impl Fn(&G) -> bool) -> Option<Taken<G, T>> {
        let (ticket, _) = self.waiting.iter().find(|(_, waiting)| may(&waiting.group))?;
        let ticket = *ticket;
        let Waiting { group, member, item } = self.waiting.remove(&ticket)?;
        self.now = self.now.max(ticket.turn);
        self.groups.taken(&group);
        self.members.taken(&member);
        Some(Taken { ticket, group, item })
    }

    /// Removes an item that no longer waits; `None` if it was taken or displaced before.
    pub(crate) fn remove(&mut self, ticket: Ticket) -> Option<T> {
        let Waiting { group, member, item } = self.waiting.remove(&ticket)?;
        self.groups.withdrawn(&group);
        self.members.withdrawn(&member);
        Some(item)
    }
}

/// Those who have something waiting.
struct Accounts<K> {
    step: u64,
    open: HashMap<K, Account>,
}

struct Account {
    waiting: usize,
    next: u64,
}

impl<K: Eq + Hash + Clone> Accounts<K> {
    fn new(step: u64) -> Self {
        Self { step, open: HashMap::new() }
    }

    /// The next turn that `key` may have.
    fn next(&self, key: &K) -> u64 {
        self.open.get(key).map_or(0, |account| account.next)
    }

    fn add(&mut self, key: &K, now: u64) {
        let account = self.open.entry(key.clone()).or_insert(Account { waiting: 0, next: 0 });
        account.waiting += 1;
        account.next = account.next.max(now) + self.step;
    }

    fn taken(&mut self, key: &K) {
        self.less(key, 0);
    }

    /// Gives the turn of an item back.
    fn withdrawn(&mut self, key: &K) {
        self.less(key, self.step);
    }

    fn less(&mut self, key: &K, back: u64) {
        let Some(account) = self.open.get_mut(key) else { return };
        account.waiting -= 1;
        account.next = account.next.saturating_sub(back);
        if account.waiting == 0 {
            self.open.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Members are named like `a1`: the first letter is the group.
    type Names = Turns<char, &'static str, usize>;

    fn push(turns: &mut Names, member: &'static str, item: usize) -> Result<Queued<usize>, usize> {
        turns.push(member.chars().next().unwrap(), member, item)
    }

    fn rest(turns: &mut Names) -> Vec<usize> {
        std::iter::from_fn(|| turns.take()).collect()
    }

    #[test]
    fn one_member_is_served_in_order() {
        let mut turns = Names::new(3);
        for item in 0..3 {
            assert!(push(&mut turns, "a1", item).is_ok());
        }
        assert_eq!(push(&mut turns, "a1", 3).err(), Some(3), "it is full");
        assert_eq!(rest(&mut turns), [0, 1, 2]);
        assert!(turns.groups.open.is_empty() && turns.members.open.is_empty());
    }

    #[test]
    fn a_newcomer_waits_for_one_item_of_each_other_member() {
        let mut turns = Names::new(64);
        for item in 0..20 {
            assert!(push(&mut turns, "a1", item).is_ok());
        }
        assert_eq!(turns.take(), Some(0));
        assert!(push(&mut turns, "b1", 100).is_ok());
        assert!(push(&mut turns, "c1", 200).is_ok());
        assert!(push(&mut turns, "b1", 101).is_ok());
        assert_eq!(rest(&mut turns)[..5], [100, 200, 1, 101, 2]);
    }

    #[test]
    fn in_a_full_queue_the_member_with_the_most_waiting_makes_room() {
        let mut turns = Names::new(4);
        for item in 0..4 {
            assert!(push(&mut turns, "a1", item).is_ok());
        }
        assert_eq!(push(&mut turns, "b1", 100).unwrap().displaced, Some(3));
        assert_eq!(push(&mut turns, "b1", 101).unwrap().displaced, Some(2));
        assert_eq!(push(&mut turns, "b1", 102).err(), Some(102), "nobody has more than b1");
        assert_eq!(push(&mut turns, "a1", 4).err(), Some(4));
        assert_eq!(push(&mut turns, "c1", 200).unwrap().displaced, Some(101));
        assert_eq!(rest(&mut turns), [0, 100, 200, 1]);
    }

    #[test]
    fn a_displaced_item_costs_its_member_no_turn() {
        let mut turns = Names::new(2);
        assert!(push(&mut turns, "a1", 0).is_ok());
        assert!(push(&mut turns, "a1", 1).is_ok());
        for member in ["b1", "c1", "d1"] {
            if let Ok(queued) = push(&mut turns, member, 9) {
                assert!(turns.remove(queued.ticket).is_some());
                assert!(push(&mut turns, "a1", 1).is_ok());
            }
        }
        assert_eq!(turns.members.next(&"a1"), 2 * MEMBER);
    }

    #[test]
    fn many_members_of_one_group_count_for_four() {
        let mut turns = Names::new(64);
        let members: Vec<&'static str> =
            (0..64).map(|number| &*Box::leak(format!("a{number}").into_boxed_str())).collect();
        for (item, member) in members.iter().enumerate() {
            assert!(push(&mut turns, member, item).is_ok());
        }
        assert_eq!(turns.take(), Some(0));
        for item in 100..110 {
            assert!(push(&mut turns, "b1", item).is_ok());
        }
        let served = rest(&mut turns);
        let last = served.iter().position(|item| *item == 109).unwrap();
        assert_eq!(last, 9 + 9 * 4, "{served:?}");
    }

    #[test]
    fn a_member_beside_a_busy_one_of_its_group_is_served_before_it() {
        let mut turns = Names::new(64);
        for item in 0..32 {
            assert!(push(&mut turns, "a1", item).is_ok());
        }
        assert!(push(&mut turns, "a2", 100).is_ok());
        assert_eq!(rest(&mut turns).iter().position(|item| *item == 100), Some(9));
    }

    #[test]
    fn an_item_that_left_is_not_served_and_makes_room() {
        let mut turns = Names::new(2);
        let first = push(&mut turns, "a1", 0).unwrap().ticket;
        assert!(push(&mut turns, "a1", 1).is_ok());
        assert_eq!(turns.remove(first), Some(0));
        assert_eq!(turns.remove(first), None);
        assert!(push(&mut turns, "a1", 2).is_ok());
        assert_eq!(rest(&mut turns), [1, 2]);
    }

    #[test]
    fn a_group_that_may_not_have_an_item_is_passed_over_and_keeps_its_place() {
        let mut turns = Names::new(8);
        for (member, item) in [("a1", 0), ("a2", 1), ("b1", 2), ("b1", 3)] {
            assert!(push(&mut turns, member, item).is_ok());
        }
        for expected in [Some(('b', 2)), Some(('b', 3)), None] {
            let taken = turns.take_if(|group| *group != 'a');
            assert_eq!(taken.map(|taken| (taken.group, taken.item)), expected);
        }
        assert!(push(&mut turns, "b1", 4).is_ok());
        assert_eq!(rest(&mut turns), [0, 1, 4]);
    }
}
