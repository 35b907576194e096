//! Why a command about an htpasswd file failed.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::super::exit;
use crate::auth::htpasswd::BadLine;
use crate::disk::shell_word;

/// Why a command about an htpasswd file failed; the sentence is for standard error.
#[derive(Debug, thiserror::Error)]
pub(in crate::cli) enum HtpasswdError {
    /// The answer is no: a wrong password, or no such user.
    #[error("{0}")]
    No(String),
    #[error("{0}")]
    Usage(String),
    #[error("{}: {}", .0.display(), reason(.0, .1))]
    File(PathBuf, io::Error),
    #[error("{}", bad_lines(.0, .1))]
    Bad(PathBuf, Vec<BadLine>),
    #[error("{0}")]
    System(String),
}

impl HtpasswdError {
    /// The exit code, after sysexits(3).
    pub(in crate::cli) fn exit_code(&self) -> u8 {
        match self {
            Self::No(_) => 1,
            Self::Usage(_) => 64,
            Self::File(_, error) if error.kind() == ErrorKind::NotFound => 66,
            Self::File(..) | Self::System(_) => 74,
            Self::Bad(..) => 78,
        }
    }
}

fn reason(file: &Path, error: &io::Error) -> String {
    let folder = file.parent().filter(|folder| *folder != Path::new("") && !folder.exists());
    match (error.kind(), folder) {
        (ErrorKind::NotFound, Some(folder)) => {
            format!(
                "its folder does not exist; check the path, or make it with `mkdir -p {}`",
                shell_word(folder)
            )
        }
        (ErrorKind::NotFound, None) => "the file does not exist; check the path".into(),
        _ => exit::reason(error),
    }
}

fn bad_lines(file: &Path, bad: &[BadLine]) -> String {
    let lines: Vec<_> =
        bad.iter().map(|bad| format!("{}:{}: {}", file.display(), bad.line, bad.message)).collect();
    lines.join("\n")
}
