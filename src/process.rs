//! The settings of the process as a whole: the privacy of its memory, its limits on files.

use std::io;

use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit};
use tokio::signal::unix::{SignalKind, signal};

/// Forbids core dumps and debuggers of the same user, because memory holds passwords and keys.
pub(crate) fn keep_memory_private() {
    _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
}

/// Raises the limit on open files to the most that the system allows, for many connections.
pub(crate) fn raise_file_limit() {
    let files = getrlimit(Resource::Nofile);
    _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum });
}

/// Makes a write beyond the limit on the size of files fail. Without a handler for the signal, it
/// ends the process.
pub(crate) fn survive_file_size_limit() -> io::Result<()> {
    signal(SignalKind::from_raw(libc::SIGXFSZ)).map(drop)
}
