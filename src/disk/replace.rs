//! Replacing files atomically: a reader sees the whole old file or the whole new one.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use crate::secret::Secret;

/// Replaces the file at `path` with `content`, on disk when this returns. An existing file keeps
/// its mode and owner; a new one gets `mode_if_new`. Symbolic links are followed and stay. On an
/// error the old file is unchanged.
pub(super) fn replace(path: &Path, content: &[u8], mode_if_new: u32) -> io::Result<()> {
    Staged::new(path, content, mode_if_new)?.commit()
}

/// A new file on disk in its final folder, under a temporary name that begins with a dot. Removed
/// if dropped before [`Staged::commit`]. Files that belong together are all staged before the first
/// commit.
#[derive(Debug)]
pub(crate) struct Staged {
    draft: Draft,
    /// The path to replace, with symbolic links resolved.
    target: PathBuf,
    folder: File,
}

impl Staged {
    /// Does what [`replace`] does, except for the last step.
    pub(crate) fn new(path: &Path, content: &[u8], mode_if_new: u32) -> io::Result<Self> {
        Self::write(path, content, mode_if_new, 0o7777)
    }

    /// The same for a secret: a new file gets mode 0600, and an existing one loses all access for
    /// others.
    pub(crate) fn secret(path: &Path, content: &Secret) -> io::Result<Self> {
        Self::write(path, content.expose(), 0o600, 0o770)
    }

    /// `kept` masks the mode that the new file takes over from an existing one.
    fn write(path: &Path, content: &[u8], mode_if_new: u32, kept: u32) -> io::Result<Self> {
        let target = resolve(path, true)?;
        let existing = existing(&target)?;
        let folder = File::open(folder_of(&target))?;
        let draft = Draft(draft_name(&target)?);
        // Nobody else may open it, not even before its final mode is set.
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft.0)?;
        file.write_all(content)?;
        // The owner first, because changing it may clear bits of the mode.
        keep_owner(&file, existing.as_ref())?;
        let mode = existing.map_or(mode_if_new, |existing| existing.mode() & kept);
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        Ok(Self { draft, target, folder })
    }

    /// Gives the file its final name, on disk when this returns.
    pub(crate) fn commit(self) -> io::Result<()> {
        fs::rename(&self.draft.0, &self.target).map_err(explain_mount)?;
        match self.folder.sync_all() {
            // Some file systems, such as CIFS, cannot sync folders.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    }
}

/// The temporary file, removed when dropped unless it was renamed.
#[derive(Debug)]
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // After a rename there is no file of this name.
        let _ = fs::remove_file(&self.0);
    }
}

/// Resolves symbolic links, so that the file is replaced and not the link. With `create`, the file
/// itself may be missing; a dangling link is always an error.
pub(super) fn resolve(path: &Path, create: bool) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && create => {
            if path.symlink_metadata().is_ok() {
                // A dangling link, or somebody has made the file meanwhile.
                return fs::canonicalize(path);
            }
            let name = path.file_name().ok_or_else(|| io::Error::other("the path does not name a file"))?;
            Ok(fs::canonicalize(folder_of(path))?.join(name))
        }
        resolved => resolved,
    }
}

pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The regular file at `target`, if there is one; anything else there is an error.
pub(super) fn existing(target: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(target) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A random name: a process id may repeat in the next container, where a killed one left its file.
/// Hidden, and without the extension by which programs find certificates in a folder.
fn draft_name(target: &Path) -> io::Result<PathBuf> {
    let mut nonce = [0; 8];
    rand::fill(&mut nonce).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let mut name = OsString::from(".");
    name.push(target.file_name().unwrap_or_default());
    name.push(format!(".{:016x}", u64::from_ne_bytes(nonce)));
    Ok(target.with_file_name(name))
}

/// Gives the new file the owner of the old one, so that the same users can read it.
fn keep_owner(file: &File, existing: Option<&Metadata>) -> io::Result<()> {
    let Some(existing) = existing else { return Ok(()) };
    let own = file.metadata()?;
    let (uid, gid) = (existing.uid(), existing.gid());
    if (own.uid(), own.gid()) == (uid, gid) {
        return Ok(());
    }
    fchown(file, Some(uid), Some(gid)).map_err(|error| {
        let sentence = format!("its owner {uid}:{gid} cannot be kept; run this as root or as that user");
        io::Error::new(error.kind(), sentence)
    })
}

/// Explains the error in a container that has the file alone mounted, and not its folder.
fn explain_mount(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::ResourceBusy => io::Error::new(
            error.kind(),
            "it is a mount of its own; mount its folder instead, or run this outside of the container",
        ),
        _ => error,
    }
}
