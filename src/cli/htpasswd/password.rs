//! Where a password comes from, and which new ones are taken.

use std::io::{self, BufRead, IsTerminal};

use crate::secret::Secret;

use super::error::HtpasswdError;

/// All that bcrypt looks at.
const LONGEST: usize = 72;
/// Longer than any line that is a password.
const LONGEST_LINE: u64 = 64 << 10;

/// Asks on the terminal, twice for a new one; reads one line when standard input is no terminal.
pub(super) fn read(user: &str, new: bool) -> Result<Secret, HtpasswdError> {
    if !io::stdin().is_terminal() {
        return read_line(io::stdin().lock());
    }
    let prompt = |text: String| {
        rpassword::prompt_password(text)
            .map(|password| Secret::new(password.into_bytes()))
            .map_err(|error| HtpasswdError::System(format!("the terminal gave no password: {error}")))
    };
    let password = prompt(format!("Password for {user}: "))?;
    if new && prompt("The same again: ".into())? != password {
        return Err(HtpasswdError::Usage("the two passwords are not the same".into()));
    }
    Ok(password)
}

/// The first line without its end.
pub(super) fn read_line(input: impl BufRead) -> Result<Secret, HtpasswdError> {
    let mut line = Vec::new();
    let mut input = input.take(LONGEST_LINE);
    input
        .read_until(b'\n', &mut line)
        .map_err(|error| HtpasswdError::System(format!("standard input gave no password: {error}")))?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
    }
    Ok(Secret::new(line))
}

/// Refuses a new password that could not be used, or that is less than it seems.
pub(super) fn check(password: &[u8]) -> Result<(), HtpasswdError> {
    let refuse = |reason: &str| Err(HtpasswdError::Usage(reason.into()));
    match password {
        [] => refuse("the password is empty"),
        _ if password.iter().any(u8::is_ascii_control) => refuse("the password holds a control character"),
        _ if password.len() > LONGEST => refuse(
            "the password is longer than 72 bytes; bcrypt looks at no more, so the rest would not count",
        ),
        _ => Ok(()),
    }
}
