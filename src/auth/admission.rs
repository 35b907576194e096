//! How many logins a source outside judges at once. The others wait in a bounded queue, which is
//! shared out by their networks.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::share::Share;
use crate::network::Network;
use crate::turns::{Ticket, Turns};

/// The logins of one source, from all worker threads.
pub(super) struct Admission(Mutex<Table>);

struct Table {
    /// How many more logins may be judged now. If there are any, nobody waits.
    free: usize,
    waiting: Turns<Share, Network, oneshot::Sender<Admitted>>,
}

/// Too many logins wait, and no network has more of them than this one.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Busy;

impl Admission {
    /// For `at_once` logins, at least one. At most `most` wait.
    pub(super) fn new(at_once: usize, most: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Table { free: at_once.max(1), waiting: Turns::new(most) })))
    }

    /// Waits until a login from a network with so many `failures` lately may be judged. The wait
    /// has no limit of its own; the future may be dropped.
    ///
    /// # Errors
    /// The queue is full, or the place in it went to a network with less.
    pub(super) async fn enter(self: &Arc<Self>, network: Network, failures: usize) -> Result<Admitted, Busy> {
        let mut waiting = {
            let mut table = self.table();
            if table.free > 0 {
                table.free -= 1;
                return Ok(Admitted(self.clone()));
            }
            let (sender, admitted) = oneshot::channel();
            let queued = table.waiting.push(Share::of(network, failures), network, sender);
            // Dropping the sender of a displaced login tells it.
            let ticket = queued.map_err(|_refused| Busy)?.ticket;
            Waiting { admission: self, ticket, admitted }
        };
        (&mut waiting.admitted).await.map_err(|_displaced| Busy)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A login that may be judged. Dropping it admits the next.
pub(super) struct Admitted(Arc<Admission>);

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut table = self.0.table();
        match table.waiting.take() {
            Some(next) => {
                // A send that fails drops what it sends, which needs the lock.
                drop(table);
                _ = next.send(Self(self.0.clone()));
            }
            None => table.free += 1,
        }
    }
}

/// A login in the queue. Dropping it leaves the queue.
struct Waiting<'a> {
    admission: &'a Admission,
    ticket: Ticket,
    admitted: oneshot::Receiver<Admitted>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.admission.table().waiting.remove(self.ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    type Entering = Pin<Box<dyn Future<Output = Result<Admitted, Busy>>>>;

    fn network(host: u8) -> Network {
        Network::of([192, 0, 2, host].into())
    }

    fn enter(admission: &Arc<Admission>, host: u8, failures: usize) -> Entering {
        let admission = admission.clone();
        Box::pin(async move { admission.enter(network(host), failures).await })
    }

    fn poll(entering: &mut Entering) -> Poll<Result<Admitted, Busy>> {
        entering.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn is_admitted(entering: &mut Entering) -> Option<Admitted> {
        match poll(entering) {
            Poll::Ready(Ok(admitted)) => Some(admitted),
            Poll::Ready(Err(Busy)) => panic!("it was displaced"),
            Poll::Pending => None,
        }
    }

    /// Logins that wait in this order, after one that is judged.
    fn queue<const N: usize>(admission: &Arc<Admission>, hosts: [u8; N]) -> (Admitted, [Entering; N]) {
        let first = is_admitted(&mut enter(admission, 0, 0)).unwrap();
        let waiting = hosts.map(|host| {
            let mut entering = enter(admission, host, 0);
            assert!(is_admitted(&mut entering).is_none());
            entering
        });
        (first, waiting)
    }

    /// How many may be judged now, and how many wait.
    fn counts(admission: &Admission) -> (usize, usize) {
        let table = admission.table();
        (table.free, table.waiting.len())
    }

    #[test]
    fn as_many_as_allowed_are_judged_at_once() {
        let admission = Admission::new(2, 8);
        let first = is_admitted(&mut enter(&admission, 1, 0)).unwrap();
        let second = is_admitted(&mut enter(&admission, 1, 0)).unwrap();
        let mut third = enter(&admission, 1, 0);
        assert!(is_admitted(&mut third).is_none());
        drop(first);
        let third = is_admitted(&mut third).unwrap();
        drop((second, third));
        assert_eq!(counts(&admission), (2, 0));
    }

    #[test]
    fn networks_take_turns() {
        let admission = Admission::new(1, 8);
        let (first, [mut a1, mut a2, mut a3, mut b1]) = queue(&admission, [1, 1, 1, 2]);
        drop(first);
        let first = is_admitted(&mut a1).unwrap();
        assert!([&mut a2, &mut a3, &mut b1].into_iter().all(|other| is_admitted(other).is_none()));
        drop(first);
        assert!(is_admitted(&mut b1).is_some(), "which is dropped at once");
        assert!(is_admitted(&mut a2).is_some() && is_admitted(&mut a3).is_some());
    }

    #[test]
    fn a_full_queue_refuses_and_makes_room_for_who_has_less() {
        let admission = Admission::new(1, 2);
        let (_first, [mut a1, mut a2]) = queue(&admission, [1, 1]);
        assert!(matches!(poll(&mut enter(&admission, 1, 0)), Poll::Ready(Err(Busy))));
        assert!(poll(&mut enter(&admission, 2, 0)).is_pending());
        assert!(matches!(poll(&mut a2), Poll::Ready(Err(Busy))));
        assert!(poll(&mut a1).is_pending());
    }

    #[test]
    fn networks_that_failed_keep_no_new_network_out() {
        let admission = Admission::new(1, 16);
        let first = is_admitted(&mut enter(&admission, 0, 0)).unwrap();
        let mut flood: Vec<_> = (1..=16).map(|host| enter(&admission, host, 5)).collect();
        assert!(flood.iter_mut().all(|entering| poll(entering).is_pending()));
        let mut newcomer = enter(&admission, 100, 0);
        assert!(is_admitted(&mut newcomer).is_none());
        drop(first);
        let turns = (0..4).position(|_| {
            let admitted = is_admitted(&mut newcomer);
            flood.retain_mut(|entering| poll(entering).is_pending());
            admitted.is_some()
        });
        assert!(turns.is_some(), "not among the first four");
    }

    #[test]
    fn whoever_leaves_makes_room_wherever_it_stands() {
        let admission = Admission::new(1, 2);
        let (first, [a1, mut a2]) = queue(&admission, [1, 1]);
        drop(a1);
        assert_eq!(counts(&admission), (0, 1));
        drop(first);
        assert!(is_admitted(&mut a2).is_some());
        assert_eq!(counts(&admission), (1, 0));

        let (first, [a1, mut a2]) = queue(&admission, [1, 1]);
        drop(first);
        drop(a1);
        assert!(is_admitted(&mut a2).is_some(), "the place of one that left with it in hand");
        assert_eq!(counts(&admission), (1, 0));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn nothing_is_lost_between_threads() {
        let admission = Admission::new(3, 1000);
        let logins: Vec<_> = (0..500)
            .map(|number: u32| {
                let admission = admission.clone();
                tokio::spawn(async move {
                    let entering = admission.enter(network(number as u8), 0);
                    let patience = std::time::Duration::from_micros(u64::from(number % 7) * 100);
                    if let Ok(admitted) = tokio::time::timeout(patience, entering).await {
                        tokio::task::yield_now().await;
                        drop(admitted);
                    }
                })
            })
            .collect();
        for login in logins {
            login.await.unwrap();
        }
        assert_eq!(counts(&admission), (3, 0));
    }
}
