//! Locks on immutable tags that are being pushed or deleted.

use std::collections::HashSet;
use std::convert::Infallible;
use std::future::pending;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::{hmac, rand};
use data_encoding::HEXLOWER;

use super::tag_leases::{NotLeased, TagLease, TagLeases};
use crate::engine::Engine;
use crate::secret::Secret;

/// The tags that a request is changing. Without a lock, two pushes of one new tag would both find
/// that it does not exist. All workers of this process share the locks. Other replicas are kept out
/// by a lease, if there is an engine.
///
/// While another process takes over, both may push. So each lock is also a name of the kernel,
/// which only one of them can have; it is free again when its owner ends, however that happens.
pub(crate) struct TagLocks {
    tags: Mutex<HashSet<(String, String)>>,
    /// What the processes know that take over from one another.
    family: Secret,
    leases: Option<Arc<TagLeases>>,
}

impl TagLocks {
    /// The locks of this process alone, and of the replicas that share `engine`.
    pub(super) fn new(engine: Option<&Engine>) -> Self {
        let mut family = [0; 32];
        // Without random numbers, processes that have nothing in common exclude each other.
        _ = rand::fill(&mut family);
        Self::of(Secret::new(family), engine)
    }

    /// The locks of this process and of those that know the same `family`.
    pub(super) fn of(family: Secret, engine: Option<&Engine>) -> Self {
        Self { tags: Mutex::default(), family, leases: engine.map(TagLeases::new).map(Arc::new) }
    }

    /// What another process needs for the same locks.
    pub(super) fn family(&self) -> &Secret {
        &self.family
    }

    /// Locks a tag until the lock is dropped; `None` while another request holds it.
    pub(crate) fn lock(self: &Arc<Self>, repository: &str, tag: &str) -> Option<TagLock> {
        let key = (repository.to_owned(), tag.to_owned());
        if !self.tags().insert(key.clone()) {
            return None;
        }
        let mut lock = TagLock { lease: None, tag_locks: self.clone(), tag: key, name: None };
        match self.name(repository, tag) {
            Ok(name) => lock.name = Some(name),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return None,
            // Without sockets, the requests of this process still exclude each other.
            Err(error) => tracing::debug!(%error, "a lock on a tag is not known to other processes"),
        }
        Some(lock)
    }

    /// Keeps the leases. Without an engine, waits for ever.
    pub(crate) async fn keep(&self) -> Infallible {
        match &self.leases {
            Some(leases) => leases.keep().await,
            None => pending().await,
        }
    }

    /// Gives back the leases that have ended, before the process does.
    pub(crate) async fn finish(&self) {
        if let Some(leases) = &self.leases {
            leases.give_back().await;
        }
    }

    fn tags(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the lock on a tag, in no file system.
    fn name(&self, repository: &str, tag: &str) -> io::Result<UnixDatagram> {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, self.family.expose()));
        // Neither has a space.
        context.update(format!("{repository} {tag}").as_bytes());
        let name = format!("tidegate-{}", HEXLOWER.encode(context.sign().as_ref()));
        UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(name)?)
    }
}

/// The lock on one tag.
pub(crate) struct TagLock {
    lease: Option<TagLease>,
    tag_locks: Arc<TagLocks>,
    tag: (String, String),
    name: Option<UnixDatagram>,
}

impl TagLock {
    /// Keeps other replicas from changing the tag, too. To be called for a tag that the registry
    /// does not have. Returns whether the registry has to be asked once more, because a replica may
    /// have changed it since.
    pub(crate) async fn lease(&mut self) -> Result<bool, NotLeased> {
        let Some(leases) = &self.tag_locks.leases else { return Ok(false) };
        let (repository, tag) = &self.tag;
        self.lease = Some(leases.take(repository, tag).await?);
        Ok(true)
    }
}

impl Drop for TagLock {
    fn drop(&mut self) {
        // First, or the next one could find its name taken, or lose its lease.
        (self.lease, self.name) = (None, None);
        self.tag_locks.tags().remove(&self.tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_locked_once_at_a_time() {
        let locks = Arc::new(TagLocks::new(None));
        let first = locks.lock("team/app", "v1");
        assert!(first.is_some() && locks.lock("team/app", "v1").is_none());
        assert!(locks.lock("team/app", "v2").is_some() && locks.lock("team/other", "v1").is_some());
        drop(first);
        assert!(locks.lock("team/app", "v1").is_some());
    }

    #[test]
    fn a_process_that_takes_over_has_the_same_locks() {
        let old = Arc::new(TagLocks::new(None));
        let new = Arc::new(TagLocks::of(old.family().clone(), None));
        let other = Arc::new(TagLocks::new(None));
        let first = old.lock("team/app", "v1").unwrap();
        assert!(new.lock("team/app", "v1").is_none());
        assert!(new.lock("team/app", "v2").is_some() && other.lock("team/app", "v1").is_some());
        drop(first);
        let second = new.lock("team/app", "v1");
        assert!(second.is_some() && old.lock("team/app", "v1").is_none());
    }

    #[tokio::test]
    async fn without_an_engine_the_lock_is_enough() {
        let locks = Arc::new(TagLocks::new(None));
        assert_eq!(locks.lock("team/app", "v1").unwrap().lease().await, Ok(false));
    }
}
