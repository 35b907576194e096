//! Where a log goes: a stream of the process, or a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, fstat};

/// Most bytes of a write that no other write to the same pipe or socket tears (pipe(7)).
const WHOLE: usize = 4096;

/// The mode of a new log file: addresses and user names are not for everybody.
pub(super) const MODE: u32 = 0o640;

/// Standard output or standard error, without the buffer and the lock of the standard library. A
/// thread that waits for a reader must not hold a lock that others need.
pub(super) fn stream(stream: impl AsFd) -> io::Result<Box<dyn Write + Send>> {
    let most = if are_one(io::stdout(), io::stderr()) { WHOLE } else { usize::MAX };
    Ok(Box::new(Output { file: File::from(stream.as_fd().try_clone_to_owned()?), most }))
}

/// Whether two streams are one pipe or socket, as under systemd or after `2>&1`. A long write to it
/// is torn where it waits for the reader.
fn are_one(one: impl AsFd, other: impl AsFd) -> bool {
    let (Ok(one), Ok(other)) = (fstat(one), fstat(other)) else { return false };
    let kind = FileType::from_raw_mode(one.st_mode);
    (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
        && matches!(kind, FileType::Fifo | FileType::Socket)
}

/// Appends to a file as [`appending`] does.
pub(super) fn file(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(appending(path)?))
}

/// Appends to a file. Creates it with [`MODE`] if there is none. Does not wait for a reader of a
/// FIFO.
pub(super) fn appending(path: &Path) -> io::Result<Output> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(MODE).custom_flags(libc::O_NONBLOCK);
    let file = match options.open(path) {
        // Nobody reads from the FIFO yet. Opened for reading too, it keeps the first lines, see
        // fifo(7).
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => options.read(true).open(path),
        opened => opened,
    };
    Ok(Output { file: file?, most: usize::MAX })
}

/// Writes without a buffer and waits for room, even if the descriptor does not block: whoever
/// shares a pipe may have made it so.
pub(super) struct Output {
    file: File,
    /// Most bytes of a write, unless a single line is longer.
    most: usize,
}

impl Output {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// The lines that are written at once.
    fn first<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let Some((start, rest)) = bytes.split_at_checked(self.most) else { return bytes };
        let end_of_line = |byte: &u8| *byte == b'\n';
        let end = start.iter().rposition(end_of_line);
        let end = end.or_else(|| rest.iter().position(end_of_line).map(|end| self.most + end));
        end.map_or(bytes, |end| &bytes[..=end])
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = self.first(bytes);
        loop {
            match self.file.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match poll(&mut [PollFd::new(&self.file, PollFlags::OUT)], None) {
                        Ok(_) | Err(rustix::io::Errno::INTR) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
