//! A file on disk whose edits take effect at once, with its last valid content.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::disk::{self, RegularFile, Signature};
use crate::problem::{Problem, Problems};

/// A file that changed less than this long before it was read may change again with the same
/// signature.
const RACY_NANOS: i128 = 100_000_000;
/// The same for file systems whose time stamps are whole seconds.
const RACY_NANOS_COARSE: i128 = 2_000_000_000;
/// A file emptied in place less than this long ago is still being written.
const WRITING_NANOS: i128 = 1_000_000_000;

/// A file that is read again after each change. Shared by all workers.
pub(crate) struct LiveFile<T> {
    path: PathBuf,
    /// The kind of file, for messages.
    noun: &'static str,
    /// What to do if the file is missing, as an imperative clause.
    remedy: &'static str,
    parse: Box<Parse<T>>,
    loaded: ArcSwap<Loaded<T>>,
    /// The last attempt to read the file returned [`Unread`].
    unread: AtomicBool,
    /// Held by the one thread that reads the file again. Remembers what has been logged about it.
    complaint: Mutex<Option<Complaint>>,
}

/// The file has changed, or may have, and cannot be read for want of descriptors or memory. A
/// decision by its previous content could let in someone who was removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread;

/// Parses the bytes of the file at a path, or returns everything that is wrong with it.
pub(crate) type Parse<T> = dyn Fn(&Path, &[u8]) -> Result<T, Vec<Problem>> + Send + Sync;

struct Loaded<T> {
    content: Arc<T>,
    /// `None` until the file exists for the first time.
    signature: Option<Signature>,
    /// Whether an unchanged signature means an unchanged file.
    settled: bool,
}

/// A failure that is logged once and not again until it changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Complaint {
    Unreadable(io::ErrorKind),
    Bad(Signature),
}

impl<T> LiveFile<T> {
    /// Reads the file for the first time.
    ///
    /// # Errors
    /// The file is missing or cannot be read, or everything that is wrong in it.
    pub(crate) fn open(
        path: &Path,
        noun: &'static str,
        remedy: &'static str,
        parse: Box<Parse<T>>,
    ) -> Result<Self, Problems> {
        let reading =
            Reading::of(path).map_err(|error| Problems(vec![unreadable(path, noun, remedy, &error)]))?;
        let loaded = Loaded {
            content: Arc::new(parse(path, &reading.text).map_err(Problems)?),
            signature: Some(reading.signature),
            settled: reading.is_settled(SystemTime::now()),
        };
        Ok(Self::of(path, noun, remedy, parse, loaded))
    }

    /// The same for a file that need not exist yet, and counts as empty until it does. Once it has
    /// existed, it is like any other file: if it vanishes, its last content stays.
    pub(crate) fn open_or_absent(
        path: &Path,
        noun: &'static str,
        remedy: &'static str,
        parse: Box<Parse<T>>,
    ) -> Result<Self, Problems> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let content = Arc::new(parse(path, b"").map_err(Problems)?);
                let loaded = Loaded { content, signature: None, settled: false };
                Ok(Self::of(path, noun, remedy, parse, loaded))
            }
            _ => Self::open(path, noun, remedy, parse),
        }
    }

    fn of(
        path: &Path,
        noun: &'static str,
        remedy: &'static str,
        parse: Box<Parse<T>>,
        loaded: Loaded<T>,
    ) -> Self {
        let loaded = ArcSwap::from_pointee(loaded);
        Self {
            path: path.into(),
            noun,
            remedy,
            parse,
            loaded,
            unread: AtomicBool::new(false),
            complaint: Mutex::new(None),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file has not existed so far.
    pub(crate) fn is_absent(&self) -> bool {
        _ = self.current();
        self.loaded.load().signature.is_none()
    }

    /// Whether the last attempt to read the file failed, and an earlier content is in effect.
    pub(crate) fn has_failed(&self) -> bool {
        let is_unread = self.current().is_err();
        is_unread || self.complaint.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The current content, following symbolic links. Costs one stat(2) while the file is
    /// unchanged. The first caller to see a change reads the file. If it is missing or invalid,
    /// that is logged once and the previous content stays.
    ///
    /// # Errors
    /// The content is not known, for want of descriptors or memory. That is logged once.
    pub(crate) fn current(&self) -> Result<Arc<T>, Unread> {
        let loaded = self.loaded.load();
        if loaded.settled && Signature::at(&self.path).is_some_and(|seen| Some(seen) == loaded.signature) {
            return Ok(Arc::clone(&loaded.content));
        }
        let mut complaint = match self.complaint.try_lock() {
            Ok(complaint) => complaint,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) if self.unread.load(Ordering::Relaxed) => return Err(Unread),
            Err(TryLockError::WouldBlock) => return Ok(Arc::clone(&loaded.content)),
        };
        let content = self.read_again(&mut complaint);
        self.unread.store(content.is_err(), Ordering::Relaxed);
        content
    }

    /// The content as of the last look at the file.
    pub(crate) fn known(&self) -> Arc<T> {
        Arc::clone(&self.loaded.load().content)
    }

    fn read_again(&self, complaint: &mut Option<Complaint>) -> Result<Arc<T>, Unread> {
        let old = self.loaded.load_full();
        let mut say = |reason, problems: Vec<Problem>| {
            if complaint.replace(reason) != Some(reason) {
                for problem in problems {
                    tracing::error!(%problem, "the {} cannot be used; its previous content stays in effect", self.noun);
                }
            }
        };
        let reading = match Reading::of(&self.path) {
            Ok(reading) => reading,
            Err(error) if error.kind() == io::ErrorKind::NotFound && old.signature.is_none() => {
                return Ok(Arc::clone(&old.content));
            }
            Err(error) if disk::lacks_resources(&error) => {
                let reason = Complaint::Unreadable(error.kind());
                if complaint.replace(reason) != Some(reason) {
                    let path = self.path.display();
                    tracing::error!(%path, %error, "the {} cannot be read; what depends on it is refused", self.noun);
                }
                return Err(Unread);
            }
            Err(error) => {
                let problem = unreadable(&self.path, self.noun, self.remedy, &error);
                say(Complaint::Unreadable(error.kind()), vec![problem]);
                return Ok(Arc::clone(&old.content));
            }
        };
        let now = SystemTime::now();
        let changed = Some(reading.signature) != old.signature;
        if reading.is_being_written(old.signature.as_ref(), now) || (old.settled && !changed) {
            return Ok(Arc::clone(&old.content));
        }
        let content = match (self.parse)(&self.path, &reading.text) {
            Ok(content) => {
                *complaint = None;
                if changed {
                    tracing::info!(path = %self.path.display(), "{} read again", self.noun);
                }
                Arc::new(content)
            }
            Err(problems) => {
                say(Complaint::Bad(reading.signature), problems);
                Arc::clone(&old.content)
            }
        };
        let settled = reading.is_settled(now);
        let loaded = Loaded { content: content.clone(), signature: Some(reading.signature), settled };
        self.loaded.store(Arc::new(loaded));
        Ok(content)
    }
}

/// One reading of the file.
struct Reading {
    text: Vec<u8>,
    signature: Signature,
    /// The file did not change while it was read.
    whole: bool,
}

impl Reading {
    fn of(path: &Path) -> io::Result<Self> {
        let file = RegularFile::open(path)?;
        let signature = file.signature()?;
        let text = file.read(disk::LARGE)?;
        let whole = file.signature()? == signature;
        Ok(Self { text, signature, whole })
    }

    /// Whether an unchanged signature will mean an unchanged file. A second edit within the grain
    /// of the clock keeps the signature (git calls this "racy"). Uses the time of the last status
    /// change, which nobody can set.
    fn is_settled(&self, now: SystemTime) -> bool {
        let coarse = self.signature.changed % 1_000_000_000 == 0;
        self.whole
            && !is_recent(self.signature.changed, if coarse { RACY_NANOS_COARSE } else { RACY_NANOS }, now)
    }

    /// Whether the file was emptied in place, and not replaced: an editor, or Apache's htpasswd, is
    /// about to write the new content.
    fn is_being_written(&self, old: Option<&Signature>, now: SystemTime) -> bool {
        old.is_some_and(|old| self.signature.is_same_file(old))
            && self.text.is_empty()
            && is_recent(self.signature.modified, WRITING_NANOS, now)
    }
}

/// Whether a time is less than `limit` away from now, in either direction. The clock of the file
/// system may be a little ahead, but a time far ahead must not stay recent for ever.
fn is_recent(time: i128, limit: i128, now: SystemTime) -> bool {
    let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos().cast_signed());
    (now - time).abs() < limit
}

fn unreadable(path: &Path, noun: &str, remedy: &str, error: &io::Error) -> Problem {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Problem::missing(path, format_args!("the {noun} does not exist; {remedy}"))
        }
        _ => Problem::at(path, format_args!("the {noun} cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests;
