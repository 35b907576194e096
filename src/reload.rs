//! Taking up changed settings and files while running: all of them or none.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, Problems};
use crate::state::{Shared, State};

/// Puts a new state in the place of the running one when the settings or a file they name have changed.
pub struct Reloader {
    path: PathBuf,
    shared: Arc<Shared>,
    /// What the files looked like when they were last taken up, and when they were last looked at.
    loaded: Vec<Option<Signature>>,
    seen: Vec<Option<Signature>>,
}

/// What tells two versions of a file apart. Symlinks are followed, so that a swapped one counts, as
/// Kubernetes does it.
type Signature = (u64, u64, u64, i64, i64, i64, i64);

impl Reloader {
    /// `path` is the file of the settings that `shared` was made from.
    pub fn new(path: &Path, shared: Arc<Shared>) -> Self {
        let mut reloader = Self { path: path.to_owned(), shared, loaded: Vec::new(), seen: Vec::new() };
        reloader.loaded = reloader.signatures();
        reloader.seen = reloader.loaded.clone();
        reloader
    }

    /// To be called now and then: reloads when a file has changed and has then stayed the same from
    /// one call to the next, so that a pair of files that is being replaced is not read between the two.
    pub fn look(&mut self) {
        if let Some(users) = &self.shared.state().users {
            users.current();
        }
        let now = self.signatures();
        let settled = now == self.seen;
        self.seen = now;
        if settled && self.seen != self.loaded {
            self.reload("a file has changed");
        }
    }

    /// Reads everything anew. With an error anywhere, what runs stays, and the log says why.
    pub fn reload(&mut self, cause: &str) {
        // Taken before the files are read: a change meanwhile is then seen at the next look.
        let signatures = self.signatures();
        match self.build() {
            Ok(state) => {
                let running = self.shared.state();
                for key in fixed_at_start(&running.config, &state.config) {
                    tracing::warn!(key, "takes effect at the next start");
                }
                for warning in &state.warnings {
                    tracing::warn!("{warning}");
                }
                drop(running);
                self.shared.replace(state);
                tracing::info!(cause, "reloaded");
                // The new settings may name other files.
                self.loaded = self.signatures();
            }
            Err(problems) => {
                for problem in problems.0 {
                    tracing::error!("{problem}");
                }
                tracing::error!(cause, "not reloaded, the running settings stay");
                self.loaded = signatures;
            }
        }
        self.seen = self.loaded.clone();
    }

    fn build(&self) -> Result<State, Problems> {
        State::build(Config::load(&self.path)?, self.shared.tickets.clone())
    }

    fn signatures(&self) -> Vec<Option<Signature>> {
        let files = self.shared.state().files();
        std::iter::once(&self.path).chain(&files).map(|file| signature(file)).collect()
    }
}

fn signature(file: &Path) -> Option<Signature> {
    let data = std::fs::metadata(file).ok()?;
    Some((
        data.dev(),
        data.ino(),
        data.size(),
        data.mtime(),
        data.mtime_nsec(),
        data.ctime(),
        data.ctime_nsec(),
    ))
}

/// The keys whose change a reload cannot take up.
fn fixed_at_start<'a>(old: &Config, new: &Config) -> impl Iterator<Item = &'a str> {
    let keys = [
        ("server.listen", old.server.listen != new.server.listen),
        ("server.threads", old.server.threads != new.server.threads),
        ("limits.connections", old.limits.connections != new.limits.connections),
        ("limits.connections_per_ip", old.limits.connections_per_ip != new.limits.connections_per_ip),
        ("auth.cache_ttl", old.auth.cache_ttl != new.auth.cache_ttl),
        ("auth.cache_size", old.auth.cache_size != new.auth.cache_size),
        ("auth.hash_threads", old.auth.hash_threads != new.auth.hash_threads),
        ("auth.hash_queue", old.auth.hash_queue != new.auth.hash_queue),
        ("log", old.log != new.log),
    ];
    keys.into_iter().filter_map(|(key, changed)| changed.then_some(key))
}
