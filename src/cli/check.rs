//! `tidegate check`

mod rights;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::exit::USAGE;
use crate::app;
use crate::pki::date;
use crate::registry::name;
use crate::state::State;

/// `--as`: the user has no right to the repository.
const DENIED: u8 = 1;

/// Check the settings and every file they name, and report everything that is wrong.
///
/// Does everything that `serve` does before it listens. Errors and warnings are printed as
/// file:line:column: message. Exits with 0 if there is no error, with 66 if the only errors are
/// missing files, else with 78.
#[derive(Args)]
pub(super) struct Check {
    /// The settings; proxy.toml.example explains every key
    #[arg(short, long, value_name = "FILE", default_value = "proxy.toml", env = "TIDEGATE_CONFIG")]
    config: PathBuf,
    /// Print the settings in effect, with defaults and environment variables
    #[arg(long)]
    dump: bool,
    /// Show what USER may do with REPOSITORY, and which rules allow it
    ///
    /// The user `anonymous` stands for clients without credentials. Prints a line for each right
    /// (pull, push and delete), and what the policies forbid. Exits with 1 if nothing is allowed.
    /// Rights of several rules add up. As soon as there is a rule, what no rule grants is denied.
    /// Example: tidegate check --as alice team/app
    #[arg(long = "as", num_args = 2, value_names = ["USER", "REPOSITORY"], conflicts_with = "dump")]
    caller: Vec<String>,
}

impl Check {
    #[expect(clippy::print_stderr, clippy::print_stdout, reason = "a command speaks to its terminal")]
    pub(super) fn run(self) -> ExitCode {
        match app::check(&self.config) {
            Ok(state) => {
                for warning in &state.warnings {
                    eprintln!("warning: {warning}");
                }
                if let [user, repository] = &*self.caller {
                    return rights(&state, user, repository);
                }
                if self.dump {
                    print!("{}", state.config.to_toml());
                } else {
                    for certificate in state.tls.certificates() {
                        let names: Vec<String> = certificate.names().collect();
                        println!(
                            "certificate for {} until {}",
                            names.join(", "),
                            date(certificate.not_after)
                        );
                    }
                    println!("{}: no errors", self.config.display());
                }
                ExitCode::SUCCESS
            }
            Err(problems) => {
                eprintln!("{problems}");
                ExitCode::from(problems.exit_code())
            }
        }
    }
}

#[expect(clippy::print_stderr, clippy::print_stdout, reason = "a command speaks to its terminal")]
fn rights(state: &State, user: &str, repository: &str) -> ExitCode {
    if !name::is_repository(repository) {
        eprintln!(
            "error: {repository:?} is not the name of a repository; write it without host and tag, as in team/app"
        );
        return ExitCode::from(USAGE);
    }
    let answer = match rights::answer(state, user, repository) {
        Ok(answer) => answer,
        Err(bad) => {
            eprintln!("error: {bad}");
            return ExitCode::from(USAGE);
        }
    };
    if let Some(warning) = &answer.warning {
        eprintln!("warning: {warning}");
    }
    print!("{}", answer.text);
    if answer.allows_anything { ExitCode::SUCCESS } else { ExitCode::from(DENIED) }
}
