//! Immutable tags that somebody is pushing or deleting.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Tags of which one request at a time may have the registry do something. Two that push a new tag would otherwise both find
/// that it does not exist. Holds for all cores of this process.
#[derive(Debug, Default)]
pub(crate) struct TagLocks {
    tags: Mutex<HashSet<(String, String)>>,
}

impl TagLocks {
    /// TagLocks a tag, until the claim is dropped; `None` while somebody else has it.
    pub(crate) fn claim(self: &Arc<Self>, repository: &str, tag: &str) -> Option<TagLock> {
        let tag = (repository.to_owned(), tag.to_owned());
        self.lock().insert(tag.clone()).then(|| TagLock { tag_locks: self.clone(), tag })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<(String, String)>> {
        self.tags.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One tag that nobody else may claim.
#[derive(Debug)]
pub(crate) struct TagLock {
    tag_locks: Arc<TagLocks>,
    tag: (String, String),
}

impl Drop for TagLock {
    fn drop(&mut self) {
        self.tag_locks.lock().remove(&self.tag);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_claimed_once_at_a_time() {
        let claims = Arc::new(TagLocks::default());
        let first = claims.claim("team/app", "v1");
        assert!(first.is_some() && claims.claim("team/app", "v1").is_none());
        assert!(claims.claim("team/app", "v2").is_some() && claims.claim("team/other", "v1").is_some());
        drop(first);
        assert!(claims.claim("team/app", "v1").is_some());
    }
}
