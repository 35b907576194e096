//! Taking up changed settings and files while running: all of them or none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::Config;
use crate::disk::Signature;
use crate::problem::Problems;
use crate::state::{Shared, State};

/// A failed reload is tried again after this many looks, because its cause may lie outside of the
/// files that are watched.
const RETRY: u32 = 10;
/// The cause of such a retry, which is logged only if its problems are new.
const AGAIN: &str = "tried again";

/// Puts a new state in the place of the running one when the settings or a file they name have
/// changed.
pub(crate) struct Reloader {
    path: PathBuf,
    shared: Arc<Shared>,
    /// The watched files, as they were when they were last read.
    loaded: Looks,
    /// Their signatures at the last look.
    seen: Vec<Option<Signature>>,
    /// The problems of the last reload if it failed, and the number of looks since then.
    failed: Option<(String, u32)>,
}

/// Files with their signatures at one moment; `None` for a file that does not exist.
pub(crate) type Looks = Vec<(PathBuf, Option<Signature>)>;

impl Reloader {
    /// `path` is the file of the settings that `shared` was built from; `loaded` is what
    /// [`look_at`] returned before that.
    pub(crate) fn new(path: &Path, shared: Arc<Shared>, loaded: Looks) -> Self {
        let seen = signatures(&loaded);
        Self { path: path.to_owned(), shared, loaded, seen, failed: None }
    }

    /// To be called at intervals. Reloads when a file has changed and has then stayed the same from
    /// one call to the next, so that a pair of files is not read while it is being replaced.
    pub(crate) fn look(&mut self) {
        let now = self.loaded.iter().map(|(file, _)| Signature::at(file)).collect();
        let settled = self.seen == now;
        self.seen = now;
        if settled && self.seen != signatures(&self.loaded) {
            self.reload("a file has changed");
        } else if let Some((_, looks)) = &mut self.failed {
            *looks += 1;
            if *looks % RETRY == 0 {
                self.reload(AGAIN);
            }
        }
    }

    /// Reads everything anew. After any error the running state stays, and the log says why.
    pub(crate) fn reload(&mut self, cause: &str) {
        match self.build() {
            Ok(state) => self.take_up(state, cause),
            Err(problems) => self.complain(problems, cause),
        }
        self.seen = signatures(&self.loaded);
    }

    /// Takes up a certificate that ACME has issued. The running settings asked for it, so it is
    /// served even if those in the file are broken.
    pub(crate) fn renew(&mut self) {
        const CAUSE: &str = "a new certificate";
        self.reload(CAUSE);
        if self.failed.is_some() {
            let state = self.shared.state().clone();
            match State::build(state.config.clone(), Some(&state)) {
                Ok(state) => {
                    self.shared.replace(state);
                    tracing::warn!("the new certificate is served with the running settings");
                }
                Err(problems) => tracing::error!("the new certificate cannot be served: {problems}"),
            }
        }
    }

    /// Looks at the files before reading them, so that a change in between is seen at the next
    /// look.
    fn build(&mut self) -> Result<State, Problems> {
        self.loaded = look_at(&self.shared.state().config);
        let settings = self.loaded[0].clone();
        let config = Config::load(&self.path)?;
        self.loaded = look_at(&config);
        self.loaded[0] = settings;
        State::build(config, Some(&self.shared.state()))
    }

    fn take_up(&mut self, state: State, cause: &str) {
        for key in self.shared.state().config.changed_at_restart(&state.config) {
            tracing::warn!(key, "takes effect at the next start");
        }
        for warning in &state.warnings {
            tracing::warn!("{warning}");
        }
        self.shared.replace(state);
        self.failed = None;
        tracing::info!(cause, "reloaded");
    }

    fn complain(&mut self, problems: Problems, cause: &str) {
        let text = problems.to_string();
        if self.failed.as_ref().is_none_or(|(last, _)| *last != text) || cause != AGAIN {
            for problem in problems.0 {
                tracing::error!("{problem}");
            }
            tracing::error!(cause, "not reloaded, the running settings stay");
        }
        self.failed = Some((text, 0));
    }
}

/// Looks at the file of the settings and at those it names. To be called before they are read, so
/// that a change in between is seen at the next look.
pub(crate) fn look_at(config: &Config) -> Looks {
    config.watched_files().into_iter().map(|file| (file.clone(), Signature::at(&file))).collect()
}

fn signatures(files: &Looks) -> Vec<Option<Signature>> {
    files.iter().map(|(_, signature)| *signature).collect()
}
