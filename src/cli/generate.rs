//! `tidegate generate`: man pages and completions, for those who make packages.

mod roff;
mod settings_page;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command};
use clap_complete::Shell;

use super::exit;

/// Write man pages and shell completions into a folder
///
/// For packages: man/tidegate.1, a page for each command, man/tidegate.toml.5, and
/// completions/SHELL/FILE for bash, zsh and fish, where FILE is the name under which the shell
/// finds it. Existing files are replaced.
#[derive(Args, Debug)]
pub(super) struct Generate {
    /// The folder; it is created if missing
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Why the files are not complete.
#[derive(Debug, thiserror::Error)]
#[error("{}: cannot be written: {}", .path.display(), exit::reason(.error))]
struct GenerateError {
    path: PathBuf,
    error: io::Error,
}

impl GenerateError {
    /// sysexits(3): a file cannot be created.
    fn exit_code(&self) -> u8 {
        73
    }
}

impl Generate {
    /// Describes `program`, without its hidden commands.
    pub(super) fn run(self, program: Command) -> ExitCode {
        exit::finish(write(&self.folder, program), GenerateError::exit_code)
    }
}

fn write(folder: &Path, program: Command) -> Result<String, GenerateError> {
    let (pages, completions) = (folder.join("man"), folder.join("completions"));
    let program = without_hidden(program);
    create(&pages)?;
    clap_mangen::generate_to(program.clone(), &pages).map_err(|error| failed(&pages, error))?;
    let page = pages.join("tidegate.toml.5");
    fs::write(&page, settings_page::text()).map_err(|error| failed(&page, error))?;
    for (shell, file) in
        [(Shell::Bash, "bash/tidegate"), (Shell::Zsh, "zsh/_tidegate"), (Shell::Fish, "fish/tidegate.fish")]
    {
        let path = completions.join(file);
        create(path.parent().unwrap_or(&completions))?;
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut program.clone(), "tidegate", &mut script);
        fs::write(&path, script).map_err(|error| failed(&path, error))?;
    }
    Ok(format!(
        "wrote {}  man pages\nwrote {}  completions for bash, zsh and fish\n",
        pages.display(),
        completions.display()
    ))
}

fn create(folder: &Path) -> Result<(), GenerateError> {
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))
}

fn failed(path: &Path, error: io::Error) -> GenerateError {
    GenerateError { path: path.to_owned(), error }
}

/// clap cannot remove a command, and the scripts for shells would offer hidden ones.
fn without_hidden(program: Command) -> Command {
    let shown: Vec<Command> =
        program.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let mut bare = Command::new("tidegate").subcommands(shown).disable_help_subcommand(true);
    bare = bare.subcommand_required(true).version(env!("CARGO_PKG_VERSION")).propagate_version(true);
    if let Some(about) = program.get_about() {
        bare = bare.about(about.clone());
    }
    if let Some(text) = program.get_after_help() {
        bare = bare.after_help(text.clone());
    }
    bare
}

#[cfg(test)]
mod tests;
