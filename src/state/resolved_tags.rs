//! The tags behind digests. docker asks with HEAD which digest a tag has, and pulls that.

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use tokio::time::Instant;

use crate::cache::{Cache, Key};

/// How long after its question a client is expected to pull.
const LIFE: Duration = Duration::from_secs(60);
/// Most answers that are remembered.
const MOST: usize = 4096;

/// Which tag a client has last asked for when it was told a digest. For the audit log alone.
pub(crate) struct ResolvedTags(Mutex<Cache<String>>);

/// A client that was told a digest.
#[derive(Clone, Copy)]
pub(crate) struct Told<'a> {
    pub client: IpAddr,
    pub user: Option<&'a str>,
    pub repository: &'a str,
    pub digest: &'a str,
}

impl Told<'_> {
    fn key(self) -> Key {
        let mut context = Context::new(&SHA256);
        let address = self.client.to_string();
        for part in [&address, self.user.unwrap_or_default(), self.repository, self.digest] {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut key = [0; 32];
        key.copy_from_slice(context.finish().as_ref());
        Key(key)
    }
}

impl Default for ResolvedTags {
    fn default() -> Self {
        Self(Mutex::new(Cache::new(MOST, LIFE)))
    }
}

impl ResolvedTags {
    /// A client asked for `tag`.
    pub(crate) fn remember(&self, told: Told<'_>, tag: &str) {
        self.tags().insert(told.key(), tag.to_owned(), Instant::now());
    }

    /// The tag that the client asked for within the last minute.
    pub(crate) fn find(&self, told: Told<'_>) -> Option<String> {
        self.tags().get(&told.key(), Instant::now()).cloned()
    }

    fn tags(&self) -> MutexGuard<'_, Cache<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_tag_is_found_for_a_minute_by_the_client_that_asked_for_it() {
        let tags = ResolvedTags::default();
        let told = Told {
            client: "192.0.2.1".parse().unwrap(),
            user: Some("alice"),
            repository: "team/app",
            digest: "sha256:1",
        };
        tags.remember(told, "v1");
        assert_eq!(tags.find(told).as_deref(), Some("v1"));
        for other in [
            Told { client: "192.0.2.2".parse().unwrap(), ..told },
            Told { user: Some("bob"), ..told },
            Told { user: None, ..told },
            Told { repository: "team/ap", ..told },
            Told { digest: "sha256:2", ..told },
        ] {
            assert_eq!(tags.find(other), None);
        }
        tags.remember(told, "latest");
        assert_eq!(tags.find(told).as_deref(), Some("latest"));
        tokio::time::advance(LIFE).await;
        assert_eq!(tags.find(told), None);
    }
}
