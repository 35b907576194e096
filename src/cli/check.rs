//! `tidegate check`

mod expiry;
mod login;
mod rights;
mod sources;
mod wait;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::exit::{OS_ERROR, USAGE, complain, say};
use super::htpasswd::password;
use super::settings_file::SettingsFile;
use crate::config::duration_option;
use crate::pki::date;
use crate::problem::CONFIGURATION;
use crate::registry::name;
use crate::state::State;
use crate::{app, ping};
use sources::Answers;

/// `--as`: the user has no right to the repository. `--login`: the login is refused.
const DENIED: u8 = 1;
/// `--expires-within`: a certificate ends too soon.
const EXPIRES: u8 = 1;
/// sysexits(3): a service is unavailable; here, the registry.
const UNAVAILABLE: u8 = 69;

/// Check the settings and every file they name, and report everything that is wrong.
///
/// Does everything that `serve` does before it listens. Errors and warnings are printed as
/// file:line:column: message. Exits with 0 if there is no error, with 66 if the only errors are
/// missing files, else with 78. The registry is not asked, unless with --upstream. Those who judge
/// logins beside the htpasswd file are asked: a directory, a service, and issuers for their keys.
#[derive(Args)]
pub(super) struct Check {
    #[command(flatten)]
    settings: SettingsFile,
    /// Ask the registry too, and say what it answers
    ///
    /// Connects to `upstream.servers` and asks for /v2/. Exits with 69 if the registry cannot be
    /// reached, or does not answer as a registry does.
    #[arg(long, conflicts_with_all = ["dump", "caller"])]
    upstream: bool,
    /// Fail if a certificate that clients are shown ends within this time, such as 14d
    ///
    /// Prints every such certificate, issuers in the file included. Exits with 1 if there is one.
    /// With --upstream too, 69 comes first.
    #[arg(long, value_name = "TIME", value_parser = duration_option, conflicts_with_all = ["dump", "caller"])]
    expires_within: Option<Duration>,
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
    /// Log in as USER, and show who that is: source, DN, name, groups, and the rules that apply
    ///
    /// Asks for the password, or reads it as a line of standard input; an ID token is accepted too.
    /// The login counts at a directory like any other. Exits with 1 if it is refused, and with 69
    /// if nobody can judge it now. Example: tidegate check --login alice
    #[arg(long, value_name = "USER", conflicts_with_all = ["dump", "caller", "upstream", "expires_within"])]
    login: Option<String>,
}

impl Check {
    pub(super) fn run(self) -> ExitCode {
        let path = self.settings.path();
        match app::check(&path) {
            Ok(state) => {
                for warning in &state.warnings {
                    complain(&format!("warning: {warning}"));
                }
                if let [user, repository] = &*self.caller {
                    return rights(&state, user, repository);
                }
                if let Some(user) = &self.login {
                    return log_in(&state, user);
                }
                if self.dump {
                    say(&state.config.to_toml());
                } else {
                    for certificate in state.tls.certificates() {
                        say(&format!(
                            "certificate for {} until {}\n",
                            certificate.listed_names(),
                            date(certificate.not_after)
                        ));
                    }
                    if !those_who_judge(&state) {
                        return ExitCode::from(CONFIGURATION);
                    }
                    if let Some(code) = beyond_the_settings(&state, self.upstream, self.expires_within) {
                        return ExitCode::from(code);
                    }
                    say(&format!("{}: no errors\n", path.display()));
                }
                ExitCode::SUCCESS
            }
            Err(problems) => {
                complain(&problems.to_string());
                ExitCode::from(problems.exit_code())
            }
        }
    }
}

/// Asks the sources of users. Prints the answers; `false` if the settings do not fit them.
fn those_who_judge(state: &State) -> bool {
    let Answers { told, warnings, mistakes } = sources::ask(state);
    for line in told {
        say(&format!("{line}\n"));
    }
    for line in warnings {
        complain(&format!("warning: {line}"));
    }
    for line in &mistakes {
        complain(&format!("error: {}: {line}", state.config.path.display()));
    }
    mistakes.is_empty()
}

fn log_in(state: &State, user: &str) -> ExitCode {
    let answer = password::read(user, false)
        .map_err(|error| (OS_ERROR, error.to_string()))
        .and_then(|password| login::answer(state, user, &password).map_err(|why| (UNAVAILABLE, why)));
    match answer {
        Ok(answer) => {
            say(&answer.text);
            if answer.is_in { ExitCode::SUCCESS } else { ExitCode::from(DENIED) }
        }
        Err((code, why)) => {
            complain(&format!("error: {why}"));
            ExitCode::from(code)
        }
    }
}

/// What `--upstream` and `--expires-within` ask. Prints the answers; returns an exit code if one of
/// them is bad.
fn beyond_the_settings(state: &State, upstream: bool, within: Option<Duration>) -> Option<u8> {
    let mut code = None;
    if let Some(within) = within {
        for end in expiry::soon(&state.tls.certificates, within) {
            complain(&format!("error: {end}"));
            code = Some(EXPIRES);
        }
    }
    for answer in upstream.then(|| ping::ask(state)).into_iter().flatten() {
        match answer {
            Ok(answer) => say(&format!("registry {answer}\n")),
            Err(why) => {
                complain(&format!("error: registry {why}"));
                code = Some(UNAVAILABLE);
            }
        }
    }
    match upstream.then(|| ping::ask_engine(state)).flatten() {
        Some(Ok(answer)) => say(&format!("shared state {answer}\n")),
        // No replica needs it to start.
        Some(Err(why)) => complain(&format!("warning: shared state {why}")),
        None => {}
    }
    code
}

fn rights(state: &State, user: &str, repository: &str) -> ExitCode {
    if !name::is_repository(repository) {
        complain(&format!(
            "error: {repository:?} is not the name of a repository; write it without host and tag, as in team/app"
        ));
        return ExitCode::from(USAGE);
    }
    let answer = match rights::answer(state, user, repository) {
        Ok(answer) => answer,
        Err(bad) => {
            complain(&format!("error: {bad}"));
            return ExitCode::from(USAGE);
        }
    };
    if let Some(warning) = &answer.warning {
        complain(&format!("warning: {warning}"));
    }
    say(&answer.text);
    if answer.allows_anything { ExitCode::SUCCESS } else { ExitCode::from(DENIED) }
}
