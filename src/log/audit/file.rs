//! The file of the audit log: whole lines, and room for the next ones.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use rustix::fs::{FallocateFlags, FileType, fallocate, fstat, ftruncate, tell};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{Resource, getrlimit};

use super::super::output::{Output, appending};

/// Bytes that are kept free behind the end: room for the lines of some thirty requests that were
/// let through and are not answered yet.
const ROOM: u64 = 16 << 10;

/// The file of the audit log.
pub(super) struct AuditFile {
    output: Output,
    /// Half a line was written and could not be taken back.
    midline: bool,
    /// The place up to which the file system has promised room; 0 if it has not.
    reserved: u64,
}

impl AuditFile {
    /// Opens a file to append to.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { output: appending(path)?, midline: false, reserved: 0 })
    }

    /// Writes one line, which ends in a line feed. It is in the file as a whole, or not at all.
    ///
    /// # Errors
    /// The line was not written. If a part of it had to stay, the next line still begins a line.
    pub(super) fn write(&mut self, line: &[u8]) -> io::Result<()> {
        if self.midline {
            self.output.write_all(b"\n")?;
            self.midline = false;
        }
        let mut rest = line;
        while !rest.is_empty() {
            match self.output.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let written = line.len() - rest.len();
                    self.midline = written > 0 && !take_back(self.output.file(), written as u64);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Makes sure of room for the next lines, where the file system can promise that.
    ///
    /// # Errors
    /// There is no room.
    pub(super) fn reserve(&mut self) -> io::Result<()> {
        let file = self.output.file();
        let facts = fstat(file)?;
        if FileType::from_raw_mode(facts.st_mode) != FileType::RegularFile {
            return Ok(());
        }
        let end = facts.st_size as u64;
        if getrlimit(Resource::Fsize).current.is_some_and(|most| end + ROOM > most) {
            return Err(Errno::FBIG.into());
        }
        // What was promised ends when the file is truncated.
        let left = self.reserved.saturating_sub(end);
        if (ROOM / 2..=ROOM).contains(&left) {
            return Ok(());
        }
        match retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, end, ROOM)) {
            Ok(()) => {
                self.reserved = end + ROOM;
                Ok(())
            }
            Err(Errno::NOTSUP | Errno::NOSYS) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Removes what the last write has left at the end of a file. Returns whether that was possible:
/// not if somebody else has written since, nor in a pipe.
fn take_back(file: &File, written: u64) -> bool {
    let is_last = |end: u64| fstat(file).is_ok_and(|facts| facts.st_size as u64 == end);
    tell(file).is_ok_and(|end| end >= written && is_last(end) && ftruncate(file, end - written).is_ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_part_of_a_line_is_taken_back_unless_somebody_has_written_since() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut file = AuditFile::open(&path).unwrap();
        file.write(b"whole\n").unwrap();
        file.output.write_all(b"part").unwrap();
        assert!(take_back(file.output.file(), 4));
        file.write(b"next\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nnext\n");

        file.output.write_all(b"part").unwrap();
        AuditFile::open(&path).unwrap().write(b"other\n").unwrap();
        assert!(!take_back(file.output.file(), 4));
        file.midline = true;
        file.write(b"last\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "whole\nnext\npartother\n\nlast\n");
    }

    #[test]
    fn room_is_reserved_behind_the_end_and_is_not_part_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let mut file = AuditFile::open(&path).unwrap();
        file.reserve().unwrap();
        file.write(b"line\n").unwrap();
        file.reserve().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"line\n");
        fs::write(&path, "").unwrap();
        file.reserve().unwrap();
        file.write(b"after\n").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"after\n");
    }

    #[test]
    fn a_device_that_is_full_takes_no_line() {
        let mut full = AuditFile::open(Path::new("/dev/full")).unwrap();
        assert_eq!(full.write(b"line\n").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(!full.midline);
    }
}
