//! The `tidegate` command.

use std::process::ExitCode;

use tidegate::Allocator;

#[global_allocator]
static ALLOCATOR: Allocator = Allocator;

fn main() -> ExitCode {
    ALLOCATOR.set_purge_delay();
    tidegate::run(std::env::args_os())
}
