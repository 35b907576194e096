//! Puts a certificate and its key in place, whole or not at all.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use aws_lc_rs::rand;

use super::Failure;
use super::issue::Made;

/// The two files that a command will write.
#[derive(Debug)]
pub(super) struct Output {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
}

impl Output {
    /// `name`.crt and `name`.key in `directory`, which is made when missing. Refuses when one of them is there,
    /// unless `replace`; `remedy` tells the user how to ask for that.
    pub(super) fn prepare(
        directory: &Path,
        name: &str,
        replace: bool,
        remedy: &'static str,
    ) -> Result<Self, Failure> {
        let output = Self {
            certificate: directory.join(format!("{name}.crt")),
            key: directory.join(format!("{name}.key")),
        };
        for path in [&output.certificate, &output.key] {
            if !replace && path.symlink_metadata().is_ok() {
                return Err(Failure::Exists { path: path.display().to_string(), remedy });
            }
        }
        fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        Ok(output)
    }

    /// Both are on disk under other names before the first gets its own. Files that are replaced keep their
    /// owner and mode, so a service that could read the old key can read the new one.
    pub(super) fn write(&self, made: &Made) -> Result<(), Failure> {
        let key = Staged::new(&self.key, made.key.expose(), 0o600)?;
        let certificate = Staged::new(&self.certificate, made.certificate.as_bytes(), 0o644)?;
        key.commit()?;
        certificate.commit()
    }
}

/// A file written beside its place; removed when dropped before it is there.
struct Staged<'a> {
    temporary: PathBuf,
    place: &'a Path,
}

impl<'a> Staged<'a> {
    fn new(place: &'a Path, content: &[u8], mode: u32) -> Result<Self, Failure> {
        // A random name: a process number would meet what a killed container left behind.
        let mut nonce = [0; 8];
        rand::fill(&mut nonce)
            .map_err(|_| failed(place, io::Error::other("the system gives no random numbers")))?;
        let mut temporary = place.as_os_str().to_owned();
        temporary.push(format!(".{:016x}", u64::from_ne_bytes(nonce)));
        let temporary = PathBuf::from(temporary);
        // Nobody but the owner may open it, not even for the moment before its mode is set.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&temporary)
            .map_err(|error| failed(place, error))?;
        let staged = Self { temporary, place };
        fill(file, content, place, mode).map_err(|error| failed(place, error))?;
        Ok(staged)
    }

    fn commit(self) -> Result<(), Failure> {
        fs::rename(&self.temporary, self.place).map_err(|error| failed(self.place, error))
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        // After a commit there is nothing left to remove.
        _ = fs::remove_file(&self.temporary);
    }
}

fn fill(mut file: File, content: &[u8], place: &Path, mode: u32) -> io::Result<()> {
    let mut mode = mode;
    if let Ok(old) = place.metadata() {
        let new = file.metadata()?;
        if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
            fchown(&file, Some(old.uid()), Some(old.gid()))?;
        }
        // A key that was open to everybody does not stay so.
        mode = old.mode() & if mode & 0o007 == 0 { 0o770 } else { 0o777 };
    }
    file.set_permissions(Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::Write { path: path.display().to_string(), error }
}
