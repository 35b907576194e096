//! A file on disk whose edits count at once, and the last good content of it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, TryLockError};
use std::time::SystemTime;

use arc_swap::ArcSwap;

use crate::disk::{self, RegularFile, Signature};
use crate::problem::{Problem, Problems};

/// A file that changed less than so long before it was read may change again and look the same.
const RACY_NANOS: i128 = 100_000_000;
/// The same where time stamps are whole seconds.
const RACY_NANOS_COARSE: i128 = 2_000_000_000;
/// A file emptied in place less than so long ago is one that somebody is writing.
const WRITING_NANOS: i128 = 1_000_000_000;

/// A file whose edits count at the next look at it. Shared by all cores.
pub(crate) struct LiveFile<T> {
    path: PathBuf,
    /// What the operator calls such a file.
    noun: &'static str,
    /// What to do when there is none, as a clause.
    remedy: &'static str,
    parse: Box<Parse<T>>,
    loaded: ArcSwap<Loaded<T>>,
    /// Held by the one thread that reads the file anew; remembers what has been said of it.
    complaint: Mutex<Option<Complaint>>,
}

/// Makes the content of what the file at a path holds, or says all that is wrong with it.
pub(crate) type Parse<T> = dyn Fn(&Path, &[u8]) -> Result<T, Vec<Problem>> + Send + Sync;

struct Loaded<T> {
    content: Arc<T>,
    /// `None` as long as there never was a file.
    signature: Option<Signature>,
    /// Whether an unchanged signature means an unchanged file.
    settled: bool,
}

/// What is logged once and not again until it changes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Complaint {
    Unreadable(io::ErrorKind),
    Bad(Signature),
}

impl<T> LiveFile<T> {
    /// Reads the file for the first time: here a missing file, and everything wrong in it, is an error.
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

    /// The same for a file that need not exist yet: until it does, its content is that of an empty one. Once it was there, it
    /// is as any other, and what it said stays when it vanishes.
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
        Self { path: path.into(), noun, remedy, parse, loaded, complaint: Mutex::new(None) }
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The content as it is on disk now. Costs one stat when the file has not changed; symbolic links are
    /// followed. A changed file is read by the first who sees it. One that is missing or bad leaves the content
    /// as it was, which is logged once.
    pub(crate) fn current(&self) -> Arc<T> {
        let loaded = self.loaded.load();
        if loaded.settled && Signature::at(&self.path).is_some_and(|seen| Some(seen) == loaded.signature) {
            return Arc::clone(&loaded.content);
        }
        let mut complaint = match self.complaint.try_lock() {
            Ok(complaint) => complaint,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return Arc::clone(&loaded.content),
        };
        self.read_anew(&mut complaint)
    }

    fn read_anew(&self, complaint: &mut Option<Complaint>) -> Arc<T> {
        let old = self.loaded.load_full();
        let mut say = |reason, problems: Vec<Problem>| {
            if complaint.replace(reason) != Some(reason) {
                for problem in problems {
                    tracing::error!(%problem, "the {} cannot be used, its old content stays", self.noun);
                }
            }
        };
        let reading = match Reading::of(&self.path) {
            Ok(reading) => reading,
            Err(error) if error.kind() == io::ErrorKind::NotFound && old.signature.is_none() => {
                return Arc::clone(&old.content);
            }
            Err(error) => {
                let problem = unreadable(&self.path, self.noun, self.remedy, &error);
                say(Complaint::Unreadable(error.kind()), vec![problem]);
                return Arc::clone(&old.content);
            }
        };
        let now = SystemTime::now();
        let changed = Some(reading.signature) != old.signature;
        if reading.is_being_written(old.signature.as_ref(), now) || (old.settled && !changed) {
            return Arc::clone(&old.content);
        }
        let content = match (self.parse)(&self.path, &reading.text) {
            Ok(content) => {
                *complaint = None;
                if changed {
                    tracing::info!(path = %self.path.display(), "{} read anew", self.noun);
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
        content
    }
}

/// One reading of the file.
struct Reading {
    text: Vec<u8>,
    signature: Signature,
    /// Nobody wrote to it between the first byte and the last.
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

    /// A second edit within the grain of the clock leaves the signature as it is, as git knows of its index.
    /// The time of the last change of status counts: nobody can set it.
    fn is_settled(&self, now: SystemTime) -> bool {
        let coarse = self.signature.changed % 1_000_000_000 == 0;
        self.whole
            && !is_recent(self.signature.changed, if coarse { RACY_NANOS_COARSE } else { RACY_NANOS }, now)
    }

    /// Emptied and not replaced: an editor, or Apache's htpasswd, is about to write the new content.
    fn is_being_written(&self, old: Option<&Signature>, now: SystemTime) -> bool {
        old.is_some_and(|old| self.signature.is_same_file(old))
            && self.text.is_empty()
            && is_recent(self.signature.modified, WRITING_NANOS, now)
    }
}

/// Whether a time lies less than `limit` back. One that lies ahead counts for as long: clocks differ a little,
/// and a time far ahead would be recent for ever.
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
