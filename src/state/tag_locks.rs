//! Locks on immutable tags that are being pushed or deleted.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The tags that a request is changing. Without a lock, two pushes of one new tag would both find
/// that it does not exist. All workers of this process share the locks.
#[derive(Debug, Default)]
pub(crate) struct TagLocks {
    tags: Mutex<HashSet<(String, String)>>,
}

impl TagLocks {
    /// Locks a tag until the lock is dropped; `None` while another request holds it.
    pub(crate) fn lock(self: &Arc<Self>, repository: &str, tag: &str) -> Option<TagLock> {
        let tag = (repository.to_owned(), tag.to_owned());
        self.tags().insert(tag.clone()).then(|| TagLock { tag_locks: self.clone(), tag })
    }

    fn tags(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The lock on one tag.
#[derive(Debug)]
pub(crate) struct TagLock {
    tag_locks: Arc<TagLocks>,
    tag: (String, String),
}

impl Drop for TagLock {
    fn drop(&mut self) {
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
}
