//! The one reader of files that an operator names: regular files of bounded size.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::OFlags;
use rustix::io::Errno;

use super::mode::Mode;
use super::signature::Signature;

/// Bytes of the settings, or of a file of certificates, a key or a secret. A longer file is
/// something else.
pub(crate) const SMALL: u64 = 1 << 20;
/// Bytes of a list: more than half a million users, or a million revoked certificates.
pub(crate) const LARGE: u64 = 64 << 20;

/// What a file holds, and its permission bits.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) mode: Mode,
}

/// Reads the file at `path`, following symbolic links.
///
/// # Errors
/// Those of [`RegularFile::open`] and [`RegularFile::read`].
pub(crate) fn read(path: &Path, largest: u64) -> io::Result<Content> {
    let file = RegularFile::open(path)?;
    Ok(Content { mode: Mode::of(&file.0.metadata()?), bytes: file.read(largest)? })
}

/// Whether the process or the system has no descriptor or memory left, so that the error says
/// nothing about the file.
pub(crate) fn lacks_resources(error: &io::Error) -> bool {
    let lacking = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
    lacking.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// An open file that cannot block its reader for ever.
#[derive(Debug)]
pub(crate) struct RegularFile(File, Reserve);

impl RegularFile {
    /// Opens a file, following symbolic links.
    ///
    /// # Errors
    /// Those of open(2), or it is a directory, a FIFO, a device or a socket.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        // Without NONBLOCK, opening a FIFO waits for a writer. It has no effect on a regular file.
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let open = || File::options().read(true).custom_flags(flags.bits().cast_signed()).open(path);
        let reserve = Reserve;
        let file = match open() {
            Err(error) if lacks_resources(&error) => {
                drop(Reserve::held().take());
                open()
            }
            opened => opened,
        }?;
        let kind = file.metadata()?.file_type();
        if kind.is_dir() {
            return Err(io::Error::new(ErrorKind::IsADirectory, "it is a directory"));
        }
        if !kind.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is not a regular file"));
        }
        Ok(Self(file, reserve))
    }

    /// Reads the file to its end.
    ///
    /// # Errors
    /// Those of read(2), or `FileTooLarge` when it holds more than `largest` bytes, a whole number
    /// of MiB.
    pub(crate) fn read(&self, largest: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        (&self.0).take(largest + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > largest {
            let message = format!("it is larger than {} MiB", largest >> 20);
            return Err(io::Error::new(ErrorKind::FileTooLarge, message));
        }
        Ok(bytes)
    }

    pub(crate) fn signature(&self) -> io::Result<Signature> {
        Ok(Signature::of(&self.0.metadata()?))
    }
}

/// A descriptor kept for these files: what decides about requests must be read when connections
/// have used up all others. Whoever opens a file may take it. It is there again when this is
/// dropped.
#[derive(Debug)]
struct Reserve;

impl Reserve {
    fn held() -> MutexGuard<'static, Option<File>> {
        static HELD: Mutex<Option<File>> = Mutex::new(None);
        HELD.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        let mut held = Self::held();
        if held.is_none() {
            // Any file would do. With PATH, it need not be readable.
            let flags = OFlags::PATH.bits().cast_signed();
            *held = File::options().read(true).custom_flags(flags).open("/").ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_none_blocks() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RUSR).unwrap();
        let message = |path: &Path| read(path, SMALL).unwrap_err().to_string();
        assert_eq!(message(&fifo), "it is not a regular file");
        assert_eq!(message(Path::new("/dev/zero")), "it is not a regular file");
        assert_eq!(message(folder.path()), "it is a directory");
        let missing = read(&folder.path().join("missing"), SMALL).unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, vec![7; 1 << 20]).unwrap();
        assert_eq!(read(&path, SMALL).unwrap().bytes.len(), 1 << 20);
        fs::write(&path, vec![7; (1 << 20) + 1]).unwrap();
        let error = read(&path, SMALL).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::FileTooLarge, "it is larger than 1 MiB")
        );
        assert!(read(&path, LARGE).is_ok());
    }
}
