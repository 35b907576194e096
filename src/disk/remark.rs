//! A remark at the end of a PEM file: text outside of the blocks is a comment (RFC 7468 section 2).

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use super::read::{SMALL, read};

/// A line that says something about the file that holds it.
#[derive(Debug)]
pub(crate) struct Remark {
    pub(crate) line: &'static str,
    /// How a line of the same meaning begins.
    pub(crate) start: &'static str,
}

impl Remark {
    /// Whether the file holds the remark.
    pub(crate) fn is_in(&self, path: &Path) -> io::Result<bool> {
        Ok(self.stands_in(&read(path, SMALL)?.bytes))
    }

    /// Makes the file hold the remark, on disk when this returns. Appends, so that the file keeps
    /// its owner and mode and is whole at any time. Returns whether the remark was new.
    pub(crate) fn append_to(&self, path: &Path) -> io::Result<bool> {
        let text = read(path, SMALL)?.bytes;
        if self.stands_in(&text) {
            return Ok(false);
        }
        let gap = if text.ends_with(b"\n") { "" } else { "\n" };
        let mut file = File::options().append(true).open(path)?;
        file.write_all(format!("{gap}{}\n", self.line).as_bytes())?;
        file.sync_all()?;
        Ok(true)
    }

    fn stands_in(&self, text: &[u8]) -> bool {
        text.split(|byte| *byte == b'\n').any(|line| line.starts_with(self.start.as_bytes()))
    }
}
