//! Locks on immutable tags that are being pushed or deleted.

use std::collections::HashSet;
use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_lc_rs::{hmac, rand};
use data_encoding::HEXLOWER;

use crate::secret::Secret;

/// The tags that a request is changing. Without a lock, two pushes of one new tag would both find
/// that it does not exist. All workers of this process share the locks.
///
/// While another process takes over, both may push. So each lock is also a name of the kernel,
/// which only one of them can have; it is free again when its owner ends, however that happens.
#[derive(Debug)]
pub(crate) struct TagLocks {
    tags: Mutex<HashSet<(String, String)>>,
    /// What the processes know that take over from one another.
    family: Secret,
}

impl TagLocks {
    /// The locks of this process and of those that know the same `family`.
    pub(crate) fn of(family: Secret) -> Self {
        Self { tags: Mutex::default(), family }
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
        let mut lock = TagLock { tag_locks: self.clone(), tag: key, name: None };
        match self.name(repository, tag) {
            Ok(name) => lock.name = Some(name),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => return None,
            // Without sockets, the requests of this process still exclude each other.
            Err(error) => tracing::debug!(%error, "a lock on a tag is not known to other processes"),
        }
        Some(lock)
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

impl Default for TagLocks {
    fn default() -> Self {
        let mut family = [0; 32];
        // Without random numbers, processes that have nothing in common exclude each other.
        _ = rand::fill(&mut family);
        Self::of(Secret::new(family))
    }
}

/// The lock on one tag.
#[derive(Debug)]
pub(crate) struct TagLock {
    tag_locks: Arc<TagLocks>,
    tag: (String, String),
    name: Option<UnixDatagram>,
}

impl Drop for TagLock {
    fn drop(&mut self) {
        // First, or the next one could find its name taken.
        self.name = None;
        self.tag_locks.tags().remove(&self.tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_locked_once_at_a_time() {
        let locks = Arc::new(TagLocks::default());
        let first = locks.lock("team/app", "v1");
        assert!(first.is_some() && locks.lock("team/app", "v1").is_none());
        assert!(locks.lock("team/app", "v2").is_some() && locks.lock("team/other", "v1").is_some());
        drop(first);
        assert!(locks.lock("team/app", "v1").is_some());
    }

    #[test]
    fn a_process_that_takes_over_has_the_same_locks() {
        let old = Arc::new(TagLocks::default());
        let new = Arc::new(TagLocks::of(old.family().clone()));
        let other = Arc::new(TagLocks::default());
        let first = old.lock("team/app", "v1").unwrap();
        assert!(new.lock("team/app", "v1").is_none());
        assert!(new.lock("team/app", "v2").is_some() && other.lock("team/app", "v1").is_some());
        drop(first);
        let second = new.lock("team/app", "v1");
        assert!(second.is_some() && old.lock("team/app", "v1").is_none());
    }
}
