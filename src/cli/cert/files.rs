//! Writes files that belong together: all of them or none.

use std::fs;
use std::io;
use std::path::Path;

use super::error::CertError;
use crate::disk::Staged;
use crate::secret::Secret;

/// The content of a file, and the mode of a new one.
pub(in crate::cli) enum Content<'a> {
    /// Mode 0644.
    Public(&'a str),
    /// Mode 0600.
    Private(&'a Secret),
}

/// Writes `files` (names and contents) into `directory`, which is created if missing. Unless
/// `replace` is set, an existing file is an error, with `remedy` as the advice.
///
/// All files are complete under temporary names before the first is renamed. Replaced files keep
/// their owner and mode, so a service that could read the old key can read the new one.
pub(in crate::cli) fn write(
    directory: &Path,
    files: &[(&str, Content<'_>)],
    replace: bool,
    remedy: &'static str,
) -> Result<(), CertError> {
    let files: Vec<_> = files.iter().map(|(name, content)| (directory.join(name), content)).collect();
    for (path, _) in &files {
        if !replace && path.symlink_metadata().is_ok() {
            return Err(CertError::Exists { path: path.display().to_string(), remedy });
        }
    }
    if directory.is_file() {
        return Err(CertError::NotAFolder(directory.to_owned()));
    }
    fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
    let mut staged = Vec::with_capacity(files.len());
    for (path, content) in &files {
        let file = match content {
            Content::Public(text) => Staged::new(path, text.as_bytes(), 0o644),
            Content::Private(secret) => Staged::secret(path, secret),
        };
        staged.push((path, file.map_err(|error| failed(path, error))?));
    }
    for (path, file) in staged {
        file.commit().map_err(|error| failed(path, error))?;
    }
    Ok(())
}

pub(super) fn failed(path: &Path, error: io::Error) -> CertError {
    CertError::Write { path: path.display().to_string(), error }
}
