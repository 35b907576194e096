//! The command line: `tidegate COMMAND`, one file per command.

mod admin_client;
mod check;
mod exit;
mod generate;
mod health;
mod init;
mod record;
mod serve;
mod settings_file;
mod top;

pub(crate) mod cert;
pub(crate) mod htpasswd;
pub(crate) mod token;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};

use self::exit::USAGE;
use crate::disk::shell_word;

/// The front door of a container registry: TLS, passwords, access rules and tokens in one binary.
#[derive(Parser)]
#[command(version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Start here: `tidegate init` writes settings, makes a certificate and a user, and says what is next.\n\
    Exit codes: 0 success, 64 wrong usage, 66 a file is missing, 69 the registry or tidegate does not\n\
    answer, 70 an internal failure, 71 the system refuses something, such as an address in use, 78 an\n\
    error in the settings."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Init(init::Init),
    Serve(serve::Serve),
    Check(check::Check),
    Health(health::Health),
    Top(top::Top),
    Htpasswd(htpasswd::Htpasswd),
    #[command(subcommand)]
    Cert(cert::Cert),
    Token(token::Token),
    #[command(hide = true)]
    Generate(generate::Generate),
}

/// Says what to write if the settings stand where the command should be.
fn suggest(error: &clap::Error) {
    let file = match (error.get(ContextKind::InvalidSubcommand), error.get(ContextKind::InvalidArg)) {
        (Some(ContextValue::String(word)), _) if word.ends_with(".toml") => word,
        (_, Some(ContextValue::String(option))) if option == "--config" || option == "-c" => "FILE",
        _ => return,
    };
    exit::complain(&format!(
        "\nTo run with these settings:\n  tidegate serve --config {}",
        shell_word(Path::new(file))
    ));
}

/// Runs the command that `arguments` name. The first argument is the name of the program.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments.command,
        Err(mut error) => {
            // That an option may be meant as a value is never what helps.
            if error.kind() == ErrorKind::UnknownArgument {
                error.remove(ContextKind::Suggested);
            }
            _ = error.print();
            suggest(&error);
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match command {
        Command::Init(init) => init.run(),
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => check.run(),
        Command::Health(health) => health.run(),
        Command::Top(top) => top.run(),
        Command::Htpasswd(htpasswd) => htpasswd::run(htpasswd),
        Command::Cert(cert) => cert::run(&cert),
        Command::Token(token) => token::run(&token),
        Command::Generate(generate) => generate.run(Arguments::command()),
    }
}
