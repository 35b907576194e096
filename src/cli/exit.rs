//! How a command ends: what it prints, and its exit code (sysexits(3)).

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

/// The command line cannot be used.
pub(super) const USAGE: u8 = 64;
/// The system refuses something although the settings are right.
pub(super) const OS_ERROR: u8 = 71;

/// Why the file system has refused something, in words for the user.
pub(super) fn reason(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only; in a container, mount the folder of the \
                                          file writable, as the service `admin` of deploy/compose does"
                .into()
        }
        ErrorKind::PermissionDenied => {
            "permission denied; run the command as the owner of the file and its folder, or as root".into()
        }
        _ => error.to_string(),
    }
}

/// Prints `text` on standard output. A closed pipe is not an error: its reader, such as `head`, has
/// read enough.
pub(super) fn say(text: &str) {
    _ = io::stdout().write_all(text.as_bytes());
}

/// Prints a line on standard error. If that is closed, the exit code has to do.
pub(super) fn complain(line: &str) {
    _ = writeln!(io::stderr(), "{line}");
}

/// Prints the report of a command on standard output, or its error on standard error.
pub(super) fn finish<E: Display>(result: Result<String, E>, exit_code: impl Fn(&E) -> u8) -> ExitCode {
    match result {
        Ok(report) => {
            say(&report);
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("tidegate: {error}"));
            ExitCode::from(exit_code(&error))
        }
    }
}
