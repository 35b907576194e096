//! Where a log goes: a stream of the process, or a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, poll};

/// The mode of a new log file: addresses and user names are not for everybody.
pub(super) const MODE: u32 = 0o640;

/// Standard output or standard error, without the buffer and the lock of the standard library. A
/// thread that waits for a reader must not hold a lock that others need.
pub(super) fn stream(stream: impl AsFd) -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(Output(File::from(stream.as_fd().try_clone_to_owned()?))))
}

/// Appends to a file. Creates it with [`MODE`] if there is none. Does not wait for a reader of a
/// FIFO.
pub(super) fn file(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(MODE).custom_flags(libc::O_NONBLOCK);
    let file = match options.open(path) {
        // Nobody reads from the FIFO yet. Opened for reading too, it keeps the first lines, see
        // fifo(7).
        Err(error) if error.raw_os_error() == Some(libc::ENXIO) => options.read(true).open(path),
        opened => opened,
    };
    Ok(Box::new(Output(file?)))
}

/// Writes without a buffer and waits for room, even if the descriptor does not block: whoever
/// shares a pipe may have made it so.
struct Output(File);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    match poll(&mut [PollFd::new(&self.0, PollFlags::OUT)], None) {
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
