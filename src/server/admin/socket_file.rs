//! A listening socket of the file system.

use std::cell::Cell;
use std::fs::{self, Metadata, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use socket2::{Domain, SockAddr, Socket, Type};
use tokio::net::UnixListener;

/// For the user that runs tidegate and its group.
const MODE: u32 = 0o660;
const BACKLOG: i32 = 64;

/// A socket that is removed when it is dropped, unless somebody else has made it.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// That of the file to remove.
    identity: Cell<Option<(u64, u64)>>,
}

impl SocketFile {
    /// Listens at `path`. Removes a socket there if nobody listens on it. Must be called within a
    /// runtime.
    pub(super) fn bind(path: &Path) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?;
        let address = SockAddr::unix(path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && is_stale(path, &address)? => {
                fs::remove_file(path)?;
                socket.bind(&address)
            }
            bound => bound,
        }?;
        // Before the first connection can be made.
        fs::set_permissions(path, Permissions::from_mode(MODE))?;
        let identity = identity(&fs::symlink_metadata(path)?);
        socket.listen(BACKLOG)?;
        let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(socket))?;
        Ok(Self { listener, path: path.to_owned(), identity: Cell::new(Some(identity)) })
    }

    /// A socket that somebody else has made, and will remove unless it `is_ours` now. Must be
    /// called within a runtime.
    pub(super) fn of(socket: Socket, is_ours: bool) -> io::Result<Self> {
        let path = socket.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
        let listener = UnixListener::from_std(std::os::unix::net::UnixListener::from(socket))?;
        let file = fs::symlink_metadata(&path).ok().filter(|_| is_ours);
        Ok(Self { listener, path, identity: Cell::new(file.map(|file| identity(&file))) })
    }

    /// Leaves the file to another process.
    pub(super) fn leave(&self) {
        self.identity.set(None);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may listen there by now.
        if fs::symlink_metadata(&self.path).is_ok_and(|now| Some(identity(&now)) == self.identity.get()) {
            _ = fs::remove_file(&self.path);
        }
    }
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// Whether nobody listens on the socket at `path`, which a killed process leaves behind.
///
/// # Errors
/// Something else than a socket is there, or it cannot be tried.
fn is_stale(path: &Path, address: &SockAddr) -> io::Result<bool> {
    if !fs::symlink_metadata(path)?.file_type().is_socket() {
        return Err(io::Error::new(
            ErrorKind::AlreadyExists,
            "a file that is not a socket is there; move it away, or choose another path",
        ));
    }
    // Does not wait: a listener whose queue is full is one, too.
    match Socket::new(Domain::UNIX, Type::STREAM.nonblocking(), None)?.connect(address) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(error),
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_is_private_and_removed_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let file = SocketFile::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        drop(file);
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn only_a_socket_that_nobody_listens_on_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = SocketFile::bind(&path).unwrap();
        assert_eq!(SocketFile::bind(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
        // A killed process leaves its file.
        drop(std::os::unix::net::UnixListener::bind(folder.path().join("left")).unwrap());
        let second = SocketFile::bind(&folder.path().join("left")).unwrap();
        assert_eq!(second.path(), folder.path().join("left"));
        fs::write(folder.path().join("text"), "kept").unwrap();
        let error = SocketFile::bind(&folder.path().join("text")).unwrap_err();
        assert!(error.to_string().contains("not a socket"), "{error}");
        assert_eq!(fs::read(folder.path().join("text")).unwrap(), b"kept");
        std::os::unix::fs::symlink("text", folder.path().join("link")).unwrap();
        assert!(SocketFile::bind(&folder.path().join("link")).is_err());
        // Another process has taken the path meanwhile.
        fs::rename(&path, folder.path().join("away")).unwrap();
        let other = SocketFile::bind(&path).unwrap();
        drop(first);
        assert!(path.exists());
        drop(other);
        assert!(!path.exists());
    }
}
