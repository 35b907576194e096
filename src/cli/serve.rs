//! `tidegate serve`

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Args;

use super::exit::OS_ERROR;
use super::settings_file::SettingsFile;
use crate::app::{self, AppError};
use crate::handover::{APART, OPTION, set_apart, tell_failure};
use crate::log::program::ProgramLog;
use crate::server::StopError;
use crate::sockets::Sockets;

/// sysexits(3): an internal error; here, a thread or a task has failed.
const SOFTWARE: u8 = 70;

/// Run the proxy in the foreground.
///
/// SIGHUP reloads the settings and every file they name; changed files are also noticed without it.
/// If anything is wrong, the settings in use stay. SIGUSR2, or SIGHUP when another program is on
/// the disk, has that program take over without a gap. SIGTERM and SIGINT let running transfers
/// finish within server.drain_timeout; a second signal stops at once.
#[derive(Args)]
pub(super) struct Serve {
    #[command(flatten)]
    settings: SettingsFile,
    /// Whether another process passes on its work, at standard input.
    #[arg(long = OPTION, hide = true)]
    take_over: bool,
    /// Whether this is no child of that process any more.
    #[arg(long = APART, hide = true, requires = "take_over")]
    apart: bool,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        if self.take_over && !self.apart {
            return match set_apart() {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => {
                    tell_failure(&error.to_string());
                    ExitCode::from(OS_ERROR)
                }
            };
        }
        // First: there must be no other thread yet.
        let sockets = match Sockets::of_systemd() {
            Ok(sockets) => sockets,
            Err(error) => {
                _ = writeln!(io::stderr(), "tidegate: {error}");
                return ExitCode::from(OS_ERROR);
            }
        };
        let log = match ProgramLog::start() {
            Ok(log) => log,
            Err(error) => {
                _ = writeln!(io::stderr(), "tidegate: the log cannot be started: {error}");
                return ExitCode::from(OS_ERROR);
            }
        };
        let result = app::serve(&self.settings.path(), &log, sockets, self.take_over);
        if let Err(error) = &result {
            log.say(error);
            if self.take_over {
                // Only heard by a process that waits for this one.
                tell_failure(&error.to_string());
            }
        }
        log.close();
        result.map_or_else(|error| exit_code(&error), |()| ExitCode::SUCCESS)
    }
}

fn exit_code(error: &AppError) -> ExitCode {
    match error {
        AppError::Settings(problems) => ExitCode::from(problems.exit_code()),
        AppError::Stop(StopError::Impatient) => ExitCode::FAILURE,
        AppError::Stop(StopError::Worker(_) | StopError::LostTask(_) | StopError::Deserted) => {
            ExitCode::from(SOFTWARE)
        }
        AppError::Socket(_) | AppError::AccessLog(_) | AppError::AuditLog(_) | AppError::System(_) => {
            ExitCode::from(OS_ERROR)
        }
    }
}
