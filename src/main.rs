//! The `tidegate` command.

use std::process::ExitCode;

use libmimalloc_sys::{mi_option_set_default, mi_option_t, mi_option_use_numa_nodes};
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// `mi_option_purge_delay` of mimalloc.h, which the crate does not name: the one before.
const PURGE_DELAY: mi_option_t = mi_option_use_numa_nodes - 1;
const MILLISECONDS: libc::c_long = 100;

fn main() -> ExitCode {
    give_memory_back_soon();
    tidegate::run(std::env::args_os())
}

/// Memory that nobody uses any more goes back to the system after a tenth of a second, and not after mimalloc's whole one: after a
/// burst of requests nothing may happen for long, and what was not given back by then is kept. `MIMALLOC_PURGE_DELAY` overrides it.
#[expect(unsafe_code, reason = "the crate has no safe way to set an option of mimalloc")]
fn give_memory_back_soon() {
    // SAFETY: it stores a number in a table that has a place for it.
    unsafe { mi_option_set_default(PURGE_DELAY, MILLISECONDS) }
}
