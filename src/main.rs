//! The `tidegate` command.

mod memory;

use std::process::ExitCode;

fn main() -> ExitCode {
    memory::give_back_soon();
    tidegate::cli::run(std::env::args_os())
}
