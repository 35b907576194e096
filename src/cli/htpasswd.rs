//! `tidegate htpasswd`: edits an htpasswd file, without Apache's tools.

pub(super) mod error;
pub(super) mod password;

use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Subcommand};

use self::error::HtpasswdError;
use crate::auth::edit::{remove_user, set_user};
use crate::auth::htpasswd::{self, Htpasswd as Users};
use crate::auth::{HIGHEST_COST, LOWEST_COST, StoredHash};
use crate::disk::{self, Rewrite};
use crate::secret::Secret;

/// The mode of a new file. A service gets access through the group.
const NEW_MODE: u32 = 0o640;

const COST: u32 = 10;

/// Manage the users of an htpasswd file
///
/// A running tidegate applies every change at the next request, without a restart.
///
/// The command asks for passwords on the terminal, or reads one line from standard input if that is
/// a pipe or a file. A password is never an argument: every user of the machine could see it, and
/// the shell would keep it in its history.
///
/// Exit codes: 0 success; 1 the password is wrong or there is no such user; 64 wrong usage; 66 the
/// file is missing; 74 reading or writing failed; 78 the file holds an invalid line.
#[derive(Args, Debug)]
pub(crate) struct Htpasswd {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Add a user, or change the password of an existing one
    ///
    /// A missing file is created with mode 0640. An existing file is replaced in one step, so that
    /// no program reads half of it; its mode, its owner and every other line stay the same.
    Add {
        /// The htpasswd file
        file: PathBuf,
        /// The user's name: any bytes but a colon and control characters
        user: OsString,
        /// The cost of bcrypt: each step doubles the time of a login and of every guess
        #[arg(long, default_value_t = COST, value_parser = clap::value_parser!(u32).range(i64::from(LOWEST_COST)..=i64::from(HIGHEST_COST)))]
        cost: u32,
    },
    /// Remove a user; access ends with the next request
    Remove {
        /// The htpasswd file
        file: PathBuf,
        /// The user's name
        user: OsString,
    },
    /// Check the password of a user: exit code 0 if it is right, 1 if it is wrong
    Verify {
        /// The htpasswd file
        file: PathBuf,
        /// The user's name
        user: OsString,
    },
    /// Print the users, one per line: name, tab, kind of hash
    List {
        /// The htpasswd file
        file: PathBuf,
    },
}

/// Runs the command with the standard streams of the process.
pub(crate) fn run(args: Htpasswd) -> ExitCode {
    match execute(args.command, &mut io::stdout().lock(), password::read) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed too, the exit code has to do.
            _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs `command`. `ask` returns the password of the named user; with `true`, a new password.
fn execute(
    command: Command,
    out: &mut dyn Write,
    ask: impl FnOnce(&str, bool) -> Result<Secret, HtpasswdError>,
) -> Result<(), HtpasswdError> {
    if let Command::Add { file, user, .. } | Command::Remove { file, user } | Command::Verify { file, user } =
        &command
    {
        expect_order(file, Path::new(user))?;
    }
    match command {
        Command::Add { file, user, cost } => add(&file, user.as_bytes(), cost, out, ask),
        Command::Remove { file, user } => remove(&file, user.as_bytes(), out),
        Command::Verify { file, user } => verify(&file, user.as_bytes(), out, ask),
        Command::List { file } => list(&file, out),
    }
}

/// Refuses arguments in the wrong order, which would make a file with the name of the user. A name
/// may look like a path, so the file system decides.
fn expect_order(file: &Path, user: &Path) -> Result<(), HtpasswdError> {
    let is_name = file.parent() == Some(Path::new("")) && !file.exists();
    let folder = user.parent().filter(|folder| *folder != Path::new(""));
    let looks_like_a_file = user.ends_with("htpasswd") || user.is_file() || folder.is_some_and(Path::is_dir);
    if !(is_name && looks_like_a_file) {
        return Ok(());
    }
    let (user, file) = (file.display(), user.display());
    Err(HtpasswdError::Usage(format!(
        "the file comes first, and then the user: write {file} {user} instead of {user} {file}"
    )))
}

/// Does what `tidegate htpasswd add FILE USER` does, without a word.
pub(super) fn add_first(file: &Path, user: &str, password: &Secret) -> Result<(), HtpasswdError> {
    add(file, user.as_bytes(), COST, &mut io::sink(), |_, _| Ok(password.clone()))
}

fn add(
    file: &Path,
    user: &[u8],
    cost: u32,
    out: &mut dyn Write,
    ask: impl FnOnce(&str, bool) -> Result<Secret, HtpasswdError>,
) -> Result<(), HtpasswdError> {
    let user = htpasswd::user(user).map_err(|bad| HtpasswdError::Usage(bad.to_string()))?;
    let name = user.to_string();
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    if folder.is_some_and(|folder| !folder.exists()) {
        // Nobody should type a password for nothing.
        return Err(HtpasswdError::File(file.into(), ErrorKind::NotFound.into()));
    }
    let password = ask(&name, true)?;
    password::check(password.expose())?;
    let hash = StoredHash::make(password.expose(), cost)
        .map_err(|error| HtpasswdError::System(error.to_string()))?;

    let at = |error| HtpasswdError::File(file.into(), error);
    let rewrite = Rewrite::begin(file, Some(NEW_MODE)).map_err(at)?;
    let (text, replaced) = set_user(rewrite.text(), user.as_bytes(), &hash);
    expect_good(file, rewrite.text(), &text)?;
    let new = rewrite.is_new();
    rewrite.commit(&text).map_err(at)?;
    let file = file.display();
    print(
        out,
        match (new, replaced) {
            (true, _) => format!("created {file} with user {name}\n{}", note(&name)),
            (_, false) => format!("added user {name} to {file}\n{}", note(&name)),
            (_, true) => format!("changed the password of user {name} in {file}\n"),
        },
    )
}

/// A line about a name that means something else in access rules; else empty.
fn note(name: &str) -> String {
    let meaning = match name {
        "anonymous" => "every client",
        name if name.starts_with('@') => "a group",
        name if name.contains('*') => "a pattern",
        _ => return String::new(),
    };
    format!("note: in access rules, {name} stands for {meaning}, so that no rule can name this user\n")
}

fn remove(file: &Path, user: &[u8], out: &mut dyn Write) -> Result<(), HtpasswdError> {
    let at = |error| HtpasswdError::File(file.into(), error);
    let rewrite = Rewrite::begin(file, None).map_err(at)?;
    let text = remove_user(rewrite.text(), user).ok_or_else(|| no_such_user(file, user))?;
    expect_good(file, rewrite.text(), &text)?;
    rewrite.commit(&text).map_err(at)?;
    print(out, format!("removed user {} from {}\n", String::from_utf8_lossy(user), file.display()))
}

fn verify(
    file: &Path,
    user: &[u8],
    out: &mut dyn Write,
    ask: impl FnOnce(&str, bool) -> Result<Secret, HtpasswdError>,
) -> Result<(), HtpasswdError> {
    let users = read(file)?;
    let (user, stored) = users
        .users()
        .into_iter()
        .find(|(known, _)| known.as_bytes() == user)
        .ok_or_else(|| no_such_user(file, user))?;
    let name = user.to_string();
    let password = ask(&name, false)?;
    // As the proxy does: no password with a control character is right.
    if password.expose().iter().any(u8::is_ascii_control) || !stored.matches(password.expose()) {
        return Err(HtpasswdError::No(format!("the password of user {name} is wrong")));
    }
    print(out, format!("the password of user {name} is right\n"))
}

fn list(file: &Path, out: &mut dyn Write) -> Result<(), HtpasswdError> {
    let mut text = Vec::new();
    for (user, stored) in read(file)?.users() {
        text.extend_from_slice(user.as_bytes());
        let kind = if stored.is_legacy() {
            format!("{}, legacy", stored.name())
        } else {
            format!("bcrypt, cost {}", stored.cost())
        };
        text.extend_from_slice(format!("\t{kind}\n").as_bytes());
    }
    print(out, text)
}

fn read(file: &Path) -> Result<Users, HtpasswdError> {
    let content = disk::read(file, disk::LARGE).map_err(|error| HtpasswdError::File(file.into(), error))?;
    parse(file, &content.bytes)
}

/// Legacy hashes are allowed here; whether the proxy accepts them depends on its settings.
fn parse(file: &Path, text: &[u8]) -> Result<Users, HtpasswdError> {
    Users::parse(text, true).map_err(|bad| HtpasswdError::Bad(file.into(), bad))
}

/// Refuses a change that leaves a bad line in the file, because the proxy would keep the old users.
/// The line numbers in the error are those of the unchanged file.
fn expect_good(file: &Path, old: &[u8], new: &[u8]) -> Result<(), HtpasswdError> {
    parse(file, new).or_else(|failure| parse(file, old).and(Err(failure))).map(drop)
}

fn no_such_user(file: &Path, user: &[u8]) -> HtpasswdError {
    HtpasswdError::No(format!(
        "there is no user {} in {}; `tidegate htpasswd list` prints the users",
        String::from_utf8_lossy(user),
        file.display()
    ))
}

/// A closed pipe is not an error: its reader, such as `head`, has read enough.
fn print(out: &mut dyn Write, text: impl AsRef<[u8]>) -> Result<(), HtpasswdError> {
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(HtpasswdError::System(format!("standard output: {error}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
