//! What tells one state of a file from another without reading it.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Two equal signatures are those of one unchanged file, unless it was changed twice within the
/// grain of the file system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    device: u64,
    inode: u64,
    size: u64,
    /// When the content was last changed, in nanoseconds since 1970. Anybody who may write to the
    /// file can set it.
    pub(crate) modified: i128,
    /// When the content or the status was last changed, in nanoseconds since 1970. Nobody can set
    /// it.
    pub(crate) changed: i128,
}

impl Signature {
    /// Of the file at `path`, symbolic links followed; `None` when there is none.
    pub(crate) fn at(path: &Path) -> Option<Self> {
        Some(Self::of(&fs::metadata(path).ok()?))
    }

    pub(crate) fn of(metadata: &Metadata) -> Self {
        let nanos = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: nanos(metadata.mtime(), metadata.mtime_nsec()),
            changed: nanos(metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether both are of one file, changed or not; a file that was replaced is another one.
    pub(crate) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
