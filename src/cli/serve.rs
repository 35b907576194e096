//! `tidegate serve`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app::{self, AppError};
use crate::server::StopError;

/// sysexits(3): an internal error; here, a thread or a task has failed.
const SOFTWARE: u8 = 70;
/// sysexits(3): the system refuses something although the settings are right.
const OS_ERROR: u8 = 71;

/// Run the proxy in the foreground.
///
/// SIGHUP reloads the settings and every file they name; changed files are also noticed without it.
/// If anything is wrong, the settings in use stay. SIGTERM and SIGINT let running transfers finish
/// within server.drain_timeout; a second signal stops at once.
#[derive(Args)]
pub(super) struct Serve {
    /// The settings; proxy.toml.example explains every key
    #[arg(short, long, value_name = "FILE", default_value = "proxy.toml", env = "TIDEGATE_CONFIG")]
    config: PathBuf,
}

impl Serve {
    #[expect(clippy::print_stderr, reason = "a command speaks to its terminal")]
    pub(super) fn run(self) -> ExitCode {
        let error = match app::serve(&self.config) {
            Ok(()) => return ExitCode::SUCCESS,
            Err(error) => error,
        };
        eprintln!("{error}");
        match error {
            AppError::Settings(problems) => ExitCode::from(problems.exit_code()),
            AppError::Stop(StopError::Impatient) => ExitCode::FAILURE,
            AppError::Stop(StopError::Worker(_) | StopError::LostTask(_)) => ExitCode::from(SOFTWARE),
            AppError::Bind(..) | AppError::AccessLog(_) | AppError::System(_) => ExitCode::from(OS_ERROR),
        }
    }
}
