//! Places for requests that have the registry read its catalog.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::access::Identity;
use crate::network::Network;
use crate::turns::{Queued, Ticket, Turns};

/// How many pages of the catalog the registry reads at once. For each one, distribution walks all
/// its folders.
const PLACES: usize = 2;
/// How many requests wait for a place.
const MOST_WAITING: usize = 64;

/// Gives out the places in turns: to one user after another, and to all anonymous clients together
/// as if they were one user.
pub(crate) struct CatalogReaders(Mutex<Readers>);

struct Readers {
    waiting: Turns<Identity, (Identity, Network), oneshot::Sender<()>>,
    inside: Vec<(Ticket, Identity)>,
}

/// A place, or the wait for one. Dropping it gives it up.
pub(crate) struct CatalogPlace {
    readers: Arc<CatalogReaders>,
    ticket: Ticket,
    anonymous_places: usize,
}

impl Default for CatalogReaders {
    fn default() -> Self {
        Self(Mutex::new(Readers { waiting: Turns::new(MOST_WAITING), inside: Vec::new() }))
    }
}

impl CatalogReaders {
    /// Waits for a place. `has_users` says that some clients are not anonymous: one place is kept
    /// for them.
    ///
    /// Returns `None` if too many wait, and nobody has more waiting than this client.
    pub(crate) async fn enter(
        self: Arc<Self>,
        identity: &Identity,
        network: Network,
        has_users: bool,
    ) -> Option<CatalogPlace> {
        let (sender, admitted) = oneshot::channel();
        let anonymous_places = if has_users { PLACES - 1 } else { PLACES };
        let ticket = {
            let mut readers = self.readers();
            let member = (identity.clone(), network);
            // A client that loses its place hears of it when its sender is dropped.
            let Queued { ticket, .. } = readers.waiting.push(identity.clone(), member, sender).ok()?;
            readers.admit(anonymous_places);
            ticket
        };
        let place = CatalogPlace { readers: self, ticket, anonymous_places };
        admitted.await.ok().map(|()| place)
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Readers {
    /// Gives the free places to those whose turn it is.
    fn admit(&mut self, anonymous_places: usize) {
        while self.inside.len() < PLACES {
            let is_anonymous = |identity: &Identity| *identity == Identity::Anonymous;
            let anonymous = self.inside.iter().filter(|(_, identity)| is_anonymous(identity)).count();
            let may = |identity: &Identity| !is_anonymous(identity) || anonymous < anonymous_places;
            let Some(taken) = self.waiting.take_if(may) else { return };
            self.inside.push((taken.ticket, taken.group));
            // A client that has left gives its place up with its `CatalogPlace`.
            _ = taken.item.send(());
        }
    }
}

impl Drop for CatalogPlace {
    fn drop(&mut self) {
        let mut readers = self.readers.readers();
        let left = readers.waiting.remove(self.ticket);
        readers.inside.retain(|(ticket, _)| *ticket != self.ticket);
        readers.admit(self.anonymous_places);
        drop(readers);
        drop(left);
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::user::User;

    type Entry = Pin<Box<dyn Future<Output = Option<CatalogPlace>>>>;

    fn user(name: &str) -> Identity {
        Identity::from(User::parse(name).unwrap())
    }

    fn enter(readers: &Arc<CatalogReaders>, identity: &Identity, host: u8) -> Entry {
        let (readers, identity) = (readers.clone(), identity.clone());
        let network = Network::of([192, 0, 2, host].into());
        let mut entry: Entry = Box::pin(async move { readers.enter(&identity, network, true).await });
        if let Poll::Ready(place) = poll(&mut entry) {
            return Box::pin(async { place });
        }
        entry
    }

    fn poll(entry: &mut Entry) -> Poll<Option<CatalogPlace>> {
        entry.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    fn admitted(entry: &mut Entry) -> CatalogPlace {
        match poll(entry) {
            Poll::Ready(Some(place)) => place,
            Poll::Ready(None) => panic!("refused"),
            Poll::Pending => panic!("waits"),
        }
    }

    #[test]
    fn a_user_finds_a_place_beside_a_crowd_of_anonymous_clients() {
        let readers = Arc::new(CatalogReaders::default());
        let mut crowd: Vec<_> = (0..60).map(|host| enter(&readers, &Identity::Anonymous, host)).collect();
        let first = admitted(&mut crowd[0]);
        assert!(poll(&mut crowd[1]).is_pending());
        let alice = admitted(&mut enter(&readers, &user("alice"), 1));
        drop(alice);
        assert!(poll(&mut crowd[1]).is_pending(), "anonymous clients have one place");
        drop(first);
        admitted(&mut crowd[1]);
    }

    #[test]
    fn a_user_is_in_when_the_pages_are_read_that_are_being_read() {
        let readers = Arc::new(CatalogReaders::default());
        let mut many: Vec<_> = (0..64).map(|_| enter(&readers, &user("alice"), 1)).collect();
        let running = (admitted(&mut many[0]), admitted(&mut many[1]));
        let mut bob = enter(&readers, &user("bob"), 1);
        assert!(poll(&mut bob).is_pending());
        drop(running);
        admitted(&mut bob);
    }

    #[test]
    fn the_user_with_the_most_waiting_is_refused_when_too_many_wait() {
        let readers = Arc::new(CatalogReaders::default());
        let mut crowd: Vec<_> =
            (0..MOST_WAITING + 1).map(|_| enter(&readers, &Identity::Anonymous, 1)).collect();
        let _first = admitted(&mut crowd[0]);
        assert!(matches!(poll(&mut enter(&readers, &Identity::Anonymous, 1)), Poll::Ready(None)));
        let mut another = enter(&readers, &Identity::Anonymous, 2);
        assert!(poll(&mut another).is_pending());
        assert!(matches!(poll(&mut crowd[MOST_WAITING]), Poll::Ready(None)), "the newest made room");
        drop(crowd.drain(1..MOST_WAITING));
        assert!(poll(&mut another).is_pending());
    }

    #[test]
    fn a_client_that_leaves_gives_up_its_place_or_its_wait() {
        let readers = Arc::new(CatalogReaders::default());
        let mut first = enter(&readers, &user("alice"), 1);
        let _second = admitted(&mut enter(&readers, &user("alice"), 1));
        let third = enter(&readers, &user("alice"), 1);
        let mut fourth = enter(&readers, &user("alice"), 1);
        drop(third);
        assert!(poll(&mut fourth).is_pending());
        drop(admitted(&mut first));
        drop(fourth);
        assert_eq!(readers.readers().inside.len(), 1, "it left before it knew of its place");
    }
}
