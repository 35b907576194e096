//! Files that are replaced in one step: whoever reads one sees the old file or the new one, whole.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use crate::secret::Secret;

/// Puts `content` in place of the file at `path`, on the disk when this returns. A file that is there keeps
/// its mode and owner, a new one gets `mode_if_new`; a symbolic link stays one, and the file behind it is
/// replaced. On an error the file is as it was.
pub(super) fn replace(path: &Path, content: &[u8], mode_if_new: u32) -> io::Result<()> {
    Staged::new(path, content, mode_if_new)?.commit()
}

/// A file on the disk beside its place, under another name that begins with a dot; removed when dropped before
/// [`Staged::commit`]. Of several files that belong together all are staged before the first is committed.
#[derive(Debug)]
pub(crate) struct Staged {
    draft: Draft,
    /// The file itself, behind any symbolic links.
    place: PathBuf,
    folder: File,
}

impl Staged {
    /// What [`replace`] does, up to the last step.
    pub(crate) fn new(path: &Path, content: &[u8], mode_if_new: u32) -> io::Result<Self> {
        Self::write(path, content, mode_if_new, 0o7777)
    }

    /// The same for a secret: with mode 0600 when the file is new, and never open to others even when the old
    /// file was.
    pub(crate) fn secret(path: &Path, content: &Secret) -> io::Result<Self> {
        Self::write(path, content.expose(), 0o600, 0o770)
    }

    /// `kept` are the bits of an old file's mode that the new one may have.
    fn write(path: &Path, content: &[u8], mode_if_new: u32, kept: u32) -> io::Result<Self> {
        let place = resolve(path, true)?;
        let existing = existing(&place)?;
        let folder = File::open(folder_of(&place))?;
        let draft = Draft(draft_name(&place)?);
        // Nobody but the owner may open it, not even for the moment before its mode is set.
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&draft.0)?;
        file.write_all(content)?;
        // The owner goes first: changing him may take bits off the mode.
        keep_owner(&file, existing.as_ref())?;
        let mode = existing.map_or(mode_if_new, |existing| existing.mode() & kept);
        file.set_permissions(Permissions::from_mode(mode))?;
        file.sync_all()?;
        Ok(Self { draft, place, folder })
    }

    /// Gives the file its name, on the disk when this returns.
    pub(crate) fn commit(self) -> io::Result<()> {
        fs::rename(&self.draft.0, &self.place).map_err(explain_mount)?;
        match self.folder.sync_all() {
            // A file system that cannot do this for folders, such as CIFS.
            Err(error) if error.kind() == ErrorKind::InvalidInput => Ok(()),
            done => done,
        }
    }
}

/// The file to be, removed unless it was renamed.
#[derive(Debug)]
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // After the rename there is nothing left of that name.
        let _ = fs::remove_file(&self.0);
    }
}

/// Follows symbolic links, so that the file is replaced and not the link to it. A file that does not exist is
/// found when it may be created, a link to nothing never.
pub(super) fn resolve(path: &Path, create: bool) -> io::Result<PathBuf> {
    match fs::canonicalize(path) {
        Err(error) if error.kind() == ErrorKind::NotFound && create && path.symlink_metadata().is_err() => {
            let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
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

/// The regular file at `place`; anything else there is an error.
pub(super) fn existing(place: &Path) -> io::Result<Option<Metadata>> {
    match fs::metadata(place) {
        Ok(metadata) if metadata.is_file() => Ok(Some(metadata)),
        Ok(_) => Err(io::Error::other("it is not a regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A random name: a process number would meet what a killed container left behind. Hidden, and without the
/// ending by which programs find certificates in a folder.
fn draft_name(place: &Path) -> io::Result<PathBuf> {
    let mut nonce = [0; 8];
    rand::fill(&mut nonce).map_err(|_| io::Error::other("the system gives no random numbers"))?;
    let mut name = OsString::from(".");
    name.push(place.file_name().unwrap_or_default());
    name.push(format!(".{:016x}", u64::from_ne_bytes(nonce)));
    Ok(place.with_file_name(name))
}

/// Whoever could read the old file can read the new one.
fn keep_owner(file: &File, existing: Option<&Metadata>) -> io::Result<()> {
    let Some(existing) = existing else { return Ok(()) };
    let own = file.metadata()?;
    let (uid, gid) = (existing.uid(), existing.gid());
    if (own.uid(), own.gid()) == (uid, gid) {
        return Ok(());
    }
    fchown(file, Some(uid), Some(gid)).map_err(|error| {
        let sentence = format!("its owner {uid}:{gid} cannot be kept; run this as root or as him");
        io::Error::new(error.kind(), sentence)
    })
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
