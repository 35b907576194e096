//! Changing an htpasswd file so that whoever reads it sees the old file or the new one, whole.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::htpasswd::Line;

/// The mode of a file that did not exist: its group may read it, which is how a service gets at it.
const NEW_MODE: u32 = 0o640;
/// How long somebody else's rewrite may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// A file that nobody else rewrites until this is dropped.
pub struct Rewrite {
    /// The file itself, behind any symbolic links.
    target: PathBuf,
    folder: File,
    existing: Option<Metadata>,
    text: Vec<u8>,
}

impl Rewrite {
    /// Takes the lock and reads the file. One that does not exist is an error of kind `NotFound`, or an empty
    /// text when it may be created.
    pub fn begin(path: &Path, create: bool) -> io::Result<Rewrite> {
        let target = resolve(path, create)?;
        let folder = File::open(folder_of(&target))?;
        lock(&folder)?;
        let (existing, text) = match fs::metadata(&target) {
            Ok(metadata) if metadata.is_file() => (Some(metadata), fs::read(&target)?),
            Ok(_) => return Err(io::Error::other("it is not a regular file")),
            Err(error) if error.kind() == ErrorKind::NotFound && create => (None, Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(Self { target, folder, existing, text })
    }

    /// What the file holds now.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Whether there is no file yet.
    pub fn is_new(&self) -> bool {
        self.existing.is_none()
    }

    /// Puts `text` in place of the file, with its mode and owner, on the disk when this returns. On an error
    /// the file is as it was.
    pub fn commit(self, text: &[u8]) -> io::Result<()> {
        let mut name = OsString::from(".");
        name.push(self.target.file_name().unwrap_or_default());
        name.push(".new");
        let draft = Draft(self.target.with_file_name(name));

        // Under the lock a draft that is already there was left by a crash.
        match fs::remove_file(&draft.0) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => (),
        }
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft.0)?;
        file.write_all(text)?;
        keep_owner_and_mode(&file, self.existing.as_ref())?;
        file.sync_all()?;
        fs::rename(&draft.0, &self.target).map_err(explain_mount)?;
        self.folder.sync_all()
    }
}

/// The file to be, removed unless it was renamed.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // After the rename there is nothing left of that name.
        let _ = fs::remove_file(&self.0);
    }
}

/// The text with `user` set to `hash`, and whether that replaced a line. Every other line stays byte for
/// byte; of a user who stands there twice the first line is replaced and the others go.
pub fn set_user(text: &[u8], user: &[u8], hash: &str) -> (Vec<u8>, bool) {
    let mut replaced = false;
    let mut new = Vec::with_capacity(text.len() + user.len() + hash.len() + 2);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if !is_of(line, user) {
            new.extend_from_slice(line);
        } else if !replaced {
            new.extend_from_slice(&entry(user, hash));
            new.extend_from_slice(if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" });
            replaced = true;
        }
    }
    if !replaced {
        if !new.is_empty() && !new.ends_with(b"\n") {
            new.push(b'\n');
        }
        new.extend_from_slice(&entry(user, hash));
        new.push(b'\n');
    }
    (new, replaced)
}

/// The text without `user`, every other line byte for byte; nothing when he is not in it.
pub fn remove_user(text: &[u8], user: &[u8]) -> Option<Vec<u8>> {
    let lines = || text.split_inclusive(|byte| *byte == b'\n');
    lines()
        .any(|line| is_of(line, user))
        .then(|| lines().filter(|line| !is_of(line, user)).flatten().copied().collect())
}

fn entry(user: &[u8], hash: &str) -> Vec<u8> {
    [user, b":", hash.as_bytes()].concat()
}

fn is_of(line: &[u8], user: &[u8]) -> bool {
    matches!(Line::read(line), Line::Entry { user: found, .. } if found == user)
}

/// Follows symbolic links, so that the file is replaced and not the link to it.
fn resolve(path: &Path, create: bool) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && create && path.symlink_metadata().is_err() => {
            let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
            Ok(fs::canonicalize(folder_of(path))?.join(name))
        }
        resolved => resolved,
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The folder is locked and not the file, which is another one after every rewrite.
fn lock(folder: &File) -> io::Result<()> {
    let give_up = Instant::now() + PATIENCE;
    loop {
        match flock(folder, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(()),
            // A file system without locks for folders, such as NFS: better unlocked than not at all.
            Err(Errno::BADF | Errno::NOLCK | Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
            Err(Errno::WOULDBLOCK | Errno::INTR) if Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(Errno::WOULDBLOCK) => return Err(io::Error::other("another command is changing it")),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whoever could read the old file can read the new one, nobody else. The owner goes first: changing him
/// may take bits off the mode.
fn keep_owner_and_mode(file: &File, existing: Option<&Metadata>) -> io::Result<()> {
    let Some(existing) = existing else { return file.set_permissions(Permissions::from_mode(NEW_MODE)) };
    let own = file.metadata()?;
    if (own.uid(), own.gid()) != (existing.uid(), existing.gid()) {
        fchown(file, Some(existing.uid()), Some(existing.gid())).map_err(|error| {
            let (uid, gid) = (existing.uid(), existing.gid());
            io::Error::new(
                error.kind(),
                format!("its owner {uid}:{gid} cannot be kept; run this as root or as him"),
            )
        })?;
    }
    file.set_permissions(Permissions::from_mode(existing.mode() & 0o7777))
}

/// A container that is given the file alone, and not its folder, cannot replace it.
fn explain_mount(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::ResourceBusy => io::Error::new(
            error.kind(),
            "it is mounted by itself; mount the folder it is in, or run this where the file really is",
        ),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
