//! The password that a connection has proven last. Nearly every request of a connection sends the
//! same one, which then needs neither decoding nor an HMAC.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, LazyLock, Weak};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use tokio::time::Instant;

use crate::auth::{Htpasswd, Person};
use crate::state::State;

/// The key of the digests, random for each process.
static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// What was proven, and all that it depends on. It holds no password: a digest under a key that
/// nobody knows stands for the field.
pub(crate) struct Proof {
    field: u64,
    /// The client behind the connection: one of a trusted proxy is shared by many.
    client: IpAddr,
    state: Weak<State>,
    /// The users of the htpasswd file.
    listed: Weak<Htpasswd>,
    person: Person,
    /// When the password has to be checked again.
    until: Instant,
    /// In which poll of the connection the htpasswd file was looked at last. HTTP/2 reads many
    /// requests at once, and an edit that comes after a request need not count for it. What is read
    /// in a later poll may have waited for the client, and then for any time.
    pub(super) looked: Cell<Option<u64>>,
}

/// A password that was right, as the verifier remembers it.
pub(super) struct Remembered {
    pub(super) person: Person,
    /// The users of the htpasswd file when it was checked.
    pub(super) listed: Arc<Htpasswd>,
    pub(super) until: Instant,
}

impl Proof {
    /// Of the password in `headers`; `None` unless there is exactly one field.
    pub(super) fn new(
        headers: &HeaderMap,
        client: IpAddr,
        state: &Arc<State>,
        remembered: Remembered,
    ) -> Option<Self> {
        let Remembered { person, listed, until } = remembered;
        let (state, listed) = (Arc::downgrade(state), Arc::downgrade(&listed));
        Some(Self { field: digest(headers)?, client, state, listed, person, until, looked: Cell::default() })
    }

    /// Who has sent these `headers`, if their credentials are those that were proven, and nothing
    /// has changed since.
    pub(super) fn person(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
        state: &Arc<State>,
        listed: &Arc<Htpasswd>,
    ) -> Option<&Person> {
        let is_same = self.client == client
            && self.state.as_ptr() == Arc::as_ptr(state)
            && self.listed.as_ptr() == Arc::as_ptr(listed)
            && Some(self.field) == digest(headers)
            && Instant::now() < self.until;
        is_same.then_some(&self.person)
    }
}

fn digest(headers: &HeaderMap) -> Option<u64> {
    let mut lines = headers.get_all(AUTHORIZATION).iter();
    let line = lines.next()?.as_bytes();
    lines.next().is_none().then(|| KEY.hash_one(line))
}
