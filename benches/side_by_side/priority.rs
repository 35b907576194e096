//! Which threads go first.

use rustix::process::setpriority_process;

/// The highest priority that setpriority(2) knows.
const FIRST: i32 = -20;

/// For the threads whose own wait for a core would be counted as the proxy's: those that measure, and the upstream. It needs
/// root; without it they wait like the rest. On Linux a niceness belongs to a thread.
pub fn raise() {
    let _ = setpriority_process(None, FIRST);
}
