//! Which users of the machine a file is open to.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The permission bits of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mode(u32);

impl Mode {
    /// Of the file at `path`; symbolic links are followed.
    pub(crate) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&fs::metadata(path)?))
    }

    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self(metadata.mode() & 0o7777)
    }

    /// Of a file that only its owner can read.
    pub(crate) const fn private() -> Self {
        Self(0o600)
    }

    /// Whether every user of the machine can read the file.
    pub(crate) fn is_readable_by_others(self) -> bool {
        self.0 & 0o004 != 0
    }

    /// The message for a file that has to be private but lets every user do something with it.
    /// `what` it is, such as "is a private key".
    pub(crate) fn exposed(self, what: &str) -> Option<String> {
        (self.0 & 0o007 != 0).then(|| {
            format!(
                "{what} that every user of this machine can use (mode {:04o}); `chmod 640` it, in Kubernetes set \
                 `defaultMode: 0440` on the volume",
                self.0
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn bits_of_others_count_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "").unwrap();
        for (bits, readable, exposed) in
            [(0o640, false, false), (0o600, false, false), (0o644, true, true), (0o602, false, true)]
        {
            fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
            let mode = Mode::at(&path).unwrap();
            assert_eq!(mode.is_readable_by_others(), readable, "{bits:o}");
            assert_eq!(mode.exposed("is a key").is_some(), exposed, "{bits:o}");
        }
        assert!(Mode(0o602).exposed("is a key").unwrap().starts_with("is a key that every user"));
        assert!(Mode::at(&path.with_extension("missing")).is_err());
        assert_eq!(Mode::private().exposed("is a key"), None);
    }
}
