//! `tidegate check`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::app;
use crate::tls::date;

/// Read the settings and every file they name, and say all that is wrong.
///
/// Does everything that serve does before it listens. Errors and warnings are printed as
/// file:line:column: message. Exits with 0, with 66 when all that is wrong is a missing file, else with 78.
#[derive(Args)]
pub(super) struct Check {
    /// The settings; proxy.toml.example explains every key.
    #[arg(short, long, value_name = "FILE", default_value = "proxy.toml", env = "TIDEGATE_CONFIG")]
    config: PathBuf,
    /// Print the settings in force, defaults and environment included.
    #[arg(long)]
    dump: bool,
}

impl Check {
    #[expect(clippy::print_stderr, clippy::print_stdout, reason = "a command speaks to its terminal")]
    pub(super) fn run(self) -> ExitCode {
        match app::check(&self.config) {
            Ok(state) => {
                for warning in &state.warnings {
                    eprintln!("warning: {warning}");
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
