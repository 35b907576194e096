//! Reads passwords, and checks new ones.

use std::io::{self, BufRead, IsTerminal};

use crate::secret::Secret;

use super::error::HtpasswdError;

/// Bytes; bcrypt ignores the rest.
const LONGEST: usize = 72;
/// Bytes that are read of a line.
const LONGEST_LINE: u64 = 64 << 10;

/// Asks on the terminal, twice for a new password that is not empty. Reads one line if standard
/// input is not a terminal.
pub(in crate::cli) fn read(user: &str, new: bool) -> Result<Secret, HtpasswdError> {
    if !io::stdin().is_terminal() {
        return read_line(io::stdin().lock());
    }
    let prompt = |text: String| {
        rpassword::prompt_password(text).map(|password| Secret::new(password.into_bytes())).map_err(|error| {
            HtpasswdError::System(format!("the password cannot be read from the terminal: {error}"))
        })
    };
    let password = prompt(format!("Password for {user}: "))?;
    let is_first = new && !password.expose().is_empty();
    if is_first && prompt("The same password again: ".into())? != password {
        return Err(HtpasswdError::Usage("the two passwords differ; nothing was written".into()));
    }
    Ok(password)
}

/// The first line, without its line ending.
pub(in crate::cli) fn read_line(input: impl BufRead) -> Result<Secret, HtpasswdError> {
    let mut line = Vec::new();
    let mut input = input.take(LONGEST_LINE);
    input.read_until(b'\n', &mut line).map_err(|error| {
        HtpasswdError::System(format!("the password cannot be read from standard input: {error}"))
    })?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    }
    Ok(Secret::new(line))
}

/// Refuses a new password that no client can send, or that bcrypt would cut.
pub(in crate::cli) fn check(password: &[u8]) -> Result<(), HtpasswdError> {
    let refuse = |reason: &str| Err(HtpasswdError::Usage(reason.into()));
    match password {
        [] => refuse("the password is empty"),
        _ if password.iter().any(u8::is_ascii_control) => {
            refuse("the password holds a control character, which no client can send")
        }
        _ if password.len() > LONGEST => {
            refuse("the password is longer than 72 bytes; bcrypt ignores the rest, so choose a shorter one")
        }
        _ => Ok(()),
    }
}
