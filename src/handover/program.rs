//! The program on the disk.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf, absolute};

use crate::disk::Signature;

/// The file that this process runs, wherever it is by now.
const OWN: &str = "/proc/self/exe";
/// How the kernel marks the path of a file that was replaced.
const DELETED: &[u8] = b" (deleted)";

/// Where the program of this process is on the disk, and how it was called.
#[derive(Debug)]
pub(crate) struct Program {
    pub(super) path: PathBuf,
    pub(super) name: OsString,
}

impl Program {
    /// To be called at the start. The path by which the program was called is better than the
    /// kernel's: a symbolic link may lead to another version later.
    pub(crate) fn running() -> io::Result<Self> {
        let name = env::args_os().next().unwrap_or_default();
        let own = Signature::at(Path::new(OWN));
        let called = absolute(&name).ok().filter(|_| name.as_bytes().contains(&b'/'));
        let is_own =
            |path: &PathBuf| Signature::at(path).zip(own).is_some_and(|(at, own)| at.is_same_file(&own));
        let path = match called.filter(is_own) {
            Some(path) => path,
            None => without_mark(Path::new(OWN).read_link()?),
        };
        Ok(Self { path, name })
    }

    /// Whether another program is there now. Never in a container, where none can take over.
    pub(crate) fn has_changed(&self) -> bool {
        if std::process::id() == 1 {
            return false;
        }
        let (there, own) = (Signature::at(&self.path), Signature::at(Path::new(OWN)));
        there.zip(own).is_some_and(|(there, own)| !there.is_same_file(&own))
    }
}

fn without_mark(path: PathBuf) -> PathBuf {
    let bytes = path.into_os_string().into_vec();
    OsStr::from_bytes(bytes.strip_suffix(DELETED).unwrap_or(&bytes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_this_process_is_on_the_disk() {
        let program = Program::running().unwrap();
        assert!(program.path.is_absolute() && !program.has_changed(), "{program:?}");
        let other = Program { path: "/bin/sh".into(), ..program };
        assert!(other.has_changed());
        let none = Program { path: "/none".into(), ..other };
        assert!(!none.has_changed());
    }

    #[test]
    fn the_mark_of_a_replaced_file_is_not_part_of_its_path() {
        assert_eq!(without_mark("/usr/bin/tidegate (deleted)".into()), Path::new("/usr/bin/tidegate"));
        assert_eq!(without_mark("/usr/bin/tidegate".into()), Path::new("/usr/bin/tidegate"));
    }
}
