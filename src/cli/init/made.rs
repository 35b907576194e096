//! What a command has made: removed again unless all of it is complete.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};

use crate::disk::Staged;

/// Files and folders that were missing before. Removed when dropped before [`Made::keep`].
#[derive(Debug, Default)]
pub(super) struct Made {
    files: Vec<PathBuf>,
    folders: Vec<PathBuf>,
    /// A file that was replaced, and what it was.
    replaced: Option<(PathBuf, Vec<u8>)>,
}

impl Made {
    /// To be called before `folder` is created: it and its parents, as far as they are missing.
    pub(super) fn folders(&mut self, folder: &Path) {
        let missing = folder.ancestors().filter(|it| !it.as_os_str().is_empty() && !it.exists());
        for folder in missing {
            if !self.folders.iter().any(|known| known == folder) {
                self.folders.push(folder.to_owned());
            }
        }
    }

    pub(super) fn are_there(files: &[impl AsRef<Path>]) -> bool {
        files.iter().all(|file| file.as_ref().exists())
    }

    /// Runs `make`, which makes these files, unless all of them are there. What was there before a
    /// failure is not touched.
    pub(super) fn files<E>(
        &mut self,
        files: &[impl AsRef<Path>],
        make: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        if !Self::are_there(files) {
            make()?;
            self.files.extend(files.iter().map(|file| file.as_ref().to_owned()));
        }
        Ok(())
    }

    /// To be called before `file` is replaced.
    pub(super) fn replaces(&mut self, file: &Path, old: Vec<u8>) {
        self.replaced = Some((file.to_owned(), old));
    }

    /// Gives everything that is new to the owner of `folder`. Only root can, and needs to: the
    /// program runs as that user.
    pub(super) fn give_to_owner_of(&self, folder: &Path) -> io::Result<()> {
        let owner = fs::metadata(folder)?;
        let (uid, gid) = (owner.uid(), owner.gid());
        if !rustix::process::geteuid().is_root() || (uid, gid) == (0, 0) {
            return Ok(());
        }
        let replaced = self.replaced.iter().map(|(file, _)| file);
        let mut all = self.files.iter().chain(&self.folders).chain(replaced);
        all.try_for_each(|path| chown(path, Some(uid), Some(gid)))
    }

    /// The files so far.
    pub(super) fn list(&self) -> &[PathBuf] {
        &self.files
    }

    /// Everything is complete and stays.
    pub(super) fn keep(mut self) {
        self.files.clear();
        self.folders.clear();
        self.replaced = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some((file, old)) = self.replaced.take() {
            _ = Staged::new(&file, &old, 0o644).and_then(Staged::commit);
        }
        for file in &self.files {
            _ = fs::remove_file(file);
        }
        // Those inside come first; one that holds something else stays.
        self.folders.sort_by_key(|folder| std::cmp::Reverse(folder.components().count()));
        for folder in &self.folders {
            _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_missing_is_removed() {
        let there = tempfile::tempdir().unwrap();
        let (old, new, inner) =
            (there.path().join("old"), there.path().join("a/new"), there.path().join("a/b"));
        fs::write(&old, "old").unwrap();
        let mut made = Made::default();
        made.folders(&inner);
        fs::create_dir_all(&inner).unwrap();
        let write = |path: &Path| fs::write(path, "new");
        made.files(&[&old], || write(&old)).unwrap();
        made.files(&[&new], || write(&new)).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "old");
        assert!(new.exists());
        assert_eq!(made.list(), std::slice::from_ref(&new));
        drop(made);
        assert!(old.exists() && !there.path().join("a").exists());
    }

    #[test]
    fn what_was_replaced_comes_back() {
        let there = tempfile::tempdir().unwrap();
        let file = there.path().join("file");
        fs::write(&file, "old").unwrap();
        let mut made = Made::default();
        made.replaces(&file, b"old".to_vec());
        fs::write(&file, "new").unwrap();
        drop(made);
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }

    #[test]
    fn what_is_complete_stays() {
        let there = tempfile::tempdir().unwrap();
        let file = there.path().join("file");
        let mut made = Made::default();
        made.files(&[&file], || fs::write(&file, "")).unwrap();
        made.keep();
        assert!(file.exists());
    }
}
