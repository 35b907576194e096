//! The `tidegate` command.

use std::process::ExitCode;

use libmimalloc_sys::{mi_option_set_default, mi_option_t, mi_option_use_numa_nodes};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h. The crate has only the option after it.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;
const PURGE_MILLISECONDS: libc::c_long = 100;

fn main() -> ExitCode {
    set_purge_delay();
    tidegate::run(std::env::args_os())
}

/// Returns unused memory to the system after 100 ms instead of mimalloc's default of a second.
/// mimalloc checks only while it is used, so memory may stay long after a burst of requests.
/// `MIMALLOC_PURGE_DELAY` overrides this.
#[expect(unsafe_code, reason = "the crate has no safe way to set an option of mimalloc")]
fn set_purge_delay() {
    // SAFETY: the option is in the table that the number is stored in.
    unsafe { mi_option_set_default(PURGE_DELAY, PURGE_MILLISECONDS) }
}
