//! A password in a file of its own.

use std::path::Path;

use super::read::{SMALL, read};
use crate::problem::Problem;
use crate::secret::Secret;

/// Reads a password: the only line of the file, which only its owner and a group may use.
///
/// # Errors
/// The file cannot be read, is open to everybody, or does not hold one line.
pub(crate) fn password(path: &Path) -> Result<Secret, Problem> {
    let content = read(path, SMALL).map_err(|error| Problem::at(path, format!("cannot be read: {error}")))?;
    if let Some(message) = content.mode.exposed("is a password") {
        return Err(Problem::at(path, message));
    }
    // Editors of Windows put a byte order mark before UTF-8.
    let bytes = content.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&content.bytes);
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() || line.iter().any(u8::is_ascii_control) {
        let message = "does not hold a password: write it on one line, without anything else";
        return Err(Problem::at(path, message));
    }
    Ok(Secret::new(line))
}
