//! The priority of threads.

use rustix::process::setpriority_process;

/// The highest priority that setpriority(2) accepts.
const FIRST: i32 = -20;

/// Raises the priority of the current thread. For the measuring threads and the upstream: their own
/// wait for a core would count as the proxy's. This needs root; without it, they wait like all
/// threads. On Linux, niceness belongs to a thread.
pub fn raise() {
    let _ = setpriority_process(None, FIRST);
}
