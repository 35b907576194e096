//! Reloads: changed settings and files take effect together or not at all.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use crate::config::Config;
use crate::disk::Signature;
use crate::log::audit::{Entry, Event, Outcome};
use crate::metrics::ReloadCause;
use crate::pki::date;
use crate::problem::{Problem, Problems};
use crate::state::{Shared, State};

/// A failed reload is retried after this many looks, because its cause may lie outside the watched
/// files.
const RETRY: u32 = 10;

/// Replaces the running state when the settings or a file they name have changed.
pub(crate) struct Reloader {
    path: PathBuf,
    shared: Arc<Shared>,
    /// The watched files with their signatures when they were last read.
    loaded: Looks,
    /// Their signatures at the last look.
    seen: Vec<Option<Signature>>,
    /// The problems of the last reload if it failed, and the number of looks since.
    failed: Option<(String, u32)>,
    /// A directory has refused the new account that searches. It would lock an account that is
    /// tried again and again.
    refused: Option<Problem>,
}

/// Files with their signatures at one moment; `None` for a file that does not exist.
pub(crate) type Looks = Vec<(PathBuf, Option<Signature>)>;

impl Reloader {
    /// `path` is the file of the settings that `shared` was built from. `loaded` is the result of
    /// [`look_at`] before that.
    pub(crate) fn new(path: &Path, shared: Arc<Shared>, loaded: Looks) -> Self {
        let seen = signatures(&loaded);
        Self { path: path.to_owned(), shared, loaded, seen, failed: None, refused: None }
    }

    /// Checks the watched files; to be called at intervals. Reloads if a file has changed and then
    /// stayed the same from one call to the next: a pair of files may be half replaced. Records in
    /// the key of `[token]` that it has a list of revoked logins.
    pub(crate) fn look(&mut self) {
        if let Some(tokens) = &self.shared.state().tokens {
            tokens.record_list();
        }
        let now = self.loaded.iter().map(|(file, _)| Signature::at(file)).collect();
        let settled = self.seen == now;
        self.seen = now;
        if settled && self.seen != signatures(&self.loaded) {
            self.reload(ReloadCause::File);
        } else if let Some((_, looks)) = &mut self.failed {
            *looks += 1;
            if *looks % RETRY == 0 {
                self.reload(ReloadCause::Retry);
            }
        }
    }

    /// Reads all settings and files. After an error the running state stays and the log says why.
    pub(crate) fn reload(&mut self, cause: ReloadCause) {
        match self.build(cause) {
            Ok(state) => self.adopt(state, cause),
            Err(problems) => self.report(problems, cause),
        }
        self.seen = signatures(&self.loaded);
    }

    /// Takes a certificate from ACME into use. The running settings asked for it, so it is served
    /// even if those in the file are broken.
    pub(crate) fn renew(&mut self) {
        self.reload(ReloadCause::Certificate);
        if self.failed.is_some() {
            let state = self.shared.state().clone();
            match State::build(state.config.clone(), Some(&state)) {
                Ok(state) => {
                    self.replace(state);
                    tracing::warn!("the new certificate is served with the running settings");
                }
                Err(problems) => tracing::error!("the new certificate cannot be served: {problems}"),
            }
        }
    }

    /// Takes the signatures of the files before reading them, so that the next look notices a
    /// change in between.
    fn build(&mut self, cause: ReloadCause) -> Result<State, Problems> {
        self.loaded = look_at(&self.shared.state().config);
        let settings = self.loaded[0].clone();
        let config = Config::load(&self.path)?;
        self.loaded = look_at(&config);
        self.loaded[0] = settings;
        let before = self.shared.state().clone();
        let state = State::build(config, Some(&before))?;
        if cause != ReloadCause::Retry || self.refused.is_none() {
            self.refused = refused_account(&state, &before);
        }
        self.refused.clone().map_or(Ok(state), |refused| Err(refused.into()))
    }

    fn adopt(&mut self, state: State, cause: ReloadCause) {
        for key in self.shared.state().config.changed_at_restart(&state.config) {
            tracing::warn!(key, "takes effect at the next start");
        }
        for warning in &state.warnings {
            tracing::warn!("{warning}");
        }
        self.shared
            .audit_log
            .write(&Entry { reason: Some(words(cause)), ..Entry::new(Event::Reload, Outcome::Success) });
        self.replace(state);
        self.failed = None;
        self.shared.reloads.record(cause, None);
        tracing::info!(cause = words(cause), "reloaded");
    }

    /// Replaces the state. Each certificate that was not served before has a line in the audit log.
    fn replace(&self, state: State) {
        let before = self.shared.state().clone();
        self.shared.replace(state);
        let known = |leaf| before.tls.certificates.iter().any(|old| old.certified.cert.first() == leaf);
        for new in &self.shared.state().tls.certificates {
            if !known(new.certified.cert.first()) {
                let facts = &new.facts;
                let reason = format!("{}; valid until {}", facts.listed_names(), date(facts.not_after));
                self.shared.audit_log.write(&Entry {
                    certificate: Some(&facts.label),
                    reason: Some(&reason),
                    ..Entry::new(Event::Certificate, Outcome::Success)
                });
            }
        }
    }

    fn report(&mut self, problems: Problems, cause: ReloadCause) {
        let text = problems.to_string();
        if self.failed.as_ref().is_none_or(|(last, _)| *last != text) || cause != ReloadCause::Retry {
            let reason = format!("{}: {text}", words(cause));
            self.shared
                .audit_log
                .write(&Entry { reason: Some(&reason), ..Entry::new(Event::Reload, Outcome::Failure) });
            for problem in problems.0 {
                tracing::error!("{problem}");
            }
            tracing::error!(cause = words(cause), "not reloaded, the running settings stay");
        }
        self.shared.reloads.record(cause, Some(text.clone()));
        self.failed = Some((text, 0));
    }
}

/// Whether a directory refuses another account that is to search: nobody could log in any more.
fn refused_account(state: &State, before: &State) -> Option<Problem> {
    let runtime = Handle::try_current().ok()?;
    runtime.block_on(state.sources.as_ref()?.refused_account(before.sources.as_ref()))
}

fn words(cause: ReloadCause) -> &'static str {
    match cause {
        ReloadCause::Signal => "SIGHUP",
        ReloadCause::File => "a file has changed",
        ReloadCause::Certificate => "a new certificate",
        ReloadCause::Retry => "retry",
        ReloadCause::Handover => "handover",
    }
}

/// The signatures of the settings file and of the files to watch. To be taken before the files are
/// read, so that the next look notices a change in between.
pub(crate) fn look_at(config: &Config) -> Looks {
    config.watched_files().into_iter().map(|file| (file.clone(), Signature::at(&file))).collect()
}

fn signatures(files: &Looks) -> Vec<Option<Signature>> {
    files.iter().map(|(_, signature)| *signature).collect()
}
