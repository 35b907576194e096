//! Why a command about certificates failed.

use std::io;
use std::path::PathBuf;

use super::super::exit;
use crate::disk::shell_word;
use crate::problem::Problems;

/// Why a command about certificates failed; the sentence names the file and the remedy.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum CertError {
    /// Both files of the CA are missing from this directory.
    #[error("{}: there is no CA here; make one with `tidegate cert ca --out {}`", .0.display(), shell_word(.0))]
    NoAuthority(PathBuf),
    /// The files of the CA cannot be used.
    #[error("{0}")]
    BadAuthority(String),
    /// Other files cannot be used.
    #[error("{0}")]
    BadFiles(Problems),
    /// A file exists, and the user did not ask to replace it.
    #[error("{path} exists; nothing was written, {remedy}")]
    Exists { path: String, remedy: &'static str },
    /// A file stands where the folder should be.
    #[error("{}: is a file; name a folder", .0.display())]
    NotAFolder(PathBuf),
    /// The file system refuses.
    #[error("{path}: cannot be written: {}", exit::reason(.error))]
    Write { path: String, error: io::Error },
    /// The cryptographic library refuses.
    #[error("the certificate cannot be made: {0}")]
    Crypto(String),
}

impl CertError {
    /// The exit code, after sysexits(3).
    pub(in crate::cli) fn exit_code(&self) -> u8 {
        match self {
            Self::BadFiles(problems) if problems.0.iter().all(|problem| problem.missing) => 66,
            Self::BadAuthority(_) | Self::BadFiles(_) => 65,
            Self::NoAuthority(_) => 66,
            Self::Crypto(_) => 70,
            Self::Exists { .. } | Self::NotAFolder(_) | Self::Write { .. } => 73,
        }
    }
}

impl From<rcgen::Error> for CertError {
    fn from(error: rcgen::Error) -> Self {
        Self::Crypto(error.to_string())
    }
}
