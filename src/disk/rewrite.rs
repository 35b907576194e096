//! Reading and replacing a file without losing concurrent changes.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::read::{LARGE, read};
use super::replace::{existing, folder_of, replace, resolve};

/// How long to wait for another rewrite.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file, locked against every other `Rewrite` until this is dropped.
#[derive(Debug)]
pub(crate) struct Rewrite {
    /// The path of the file, with symbolic links resolved.
    target: PathBuf,
    text: Option<Vec<u8>>,
    mode_if_new: u32,
    /// Held for its lock.
    _folder: File,
}

impl Rewrite {
    /// Takes the lock, waiting up to 10 s, and reads the file. A missing file can be created if
    /// `mode_if_new` is given.
    ///
    /// # Errors
    /// Of kind `NotFound` if the file is missing and cannot be created; or the lock is not released
    /// in time, or the file cannot be read.
    pub(crate) fn begin(path: &Path, mode_if_new: Option<u32>) -> io::Result<Rewrite> {
        let target = resolve(path, mode_if_new.is_some())?;
        let folder = File::open(folder_of(&target))?;
        lock(&folder)?;
        let text = match existing(&target)? {
            Some(_) => Some(read(&target, LARGE)?.bytes),
            None if mode_if_new.is_some() => None,
            None => return Err(ErrorKind::NotFound.into()),
        };
        Ok(Self { target, text, mode_if_new: mode_if_new.unwrap_or(0o600), _folder: folder })
    }

    /// The current content; empty if there is no file yet.
    pub(crate) fn text(&self) -> &[u8] {
        self.text.as_deref().unwrap_or_default()
    }

    /// Whether the file does not exist yet.
    pub(crate) fn is_new(&self) -> bool {
        self.text.is_none()
    }

    /// [`replace`]s the file.
    pub(crate) fn commit(self, text: &[u8]) -> io::Result<()> {
        replace(&self.target, text, self.mode_if_new)
    }
}

/// Locks the folder. The file itself is another one after every rewrite.
fn lock(folder: &File) -> io::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            // A file system that cannot lock folders, such as NFS: go on without the lock.
            Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(Errno::WOULDBLOCK) => return Err(io::Error::other("another command is changing it")),
            Err(error) => return Err(error.into()),
        }
    }
}
