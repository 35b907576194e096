//! Puts a certificate and its key in place, whole or not at all.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::Failure;
use super::issue::Made;
use crate::disk::Staged;

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
        let at = |path| move |error| failed(path, error);
        let key = Staged::secret(&self.key, &made.key).map_err(at(&self.key))?;
        let certificate = Staged::new(&self.certificate, made.certificate.as_bytes(), 0o644)
            .map_err(at(&self.certificate))?;
        key.commit().map_err(at(&self.key))?;
        certificate.commit().map_err(at(&self.certificate))
    }
}

fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::Write { path: path.display().to_string(), error }
}
