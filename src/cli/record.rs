//! Makes a key file say that there is a list of what was revoked.

use std::path::Path;

use super::exit;
use crate::disk::Remark;

/// Appends the remark to the key file. Returns a note for the user if that fails; else nothing.
pub(super) fn record(remark: &Remark, key: &Path) -> String {
    match remark.append_to(key) {
        Ok(_) => String::new(),
        Err(error) => format!(
            "note: {} cannot say that it has this list: {}. Append this line to it, so that a lost list is \
             noticed:\n{}\n",
            key.display(),
            exit::reason(&error),
            remark.line
        ),
    }
}
