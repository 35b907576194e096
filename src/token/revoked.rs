//! The identity tokens that were ended before their time: one `user time` a line, in a file beside the key.
//!
//! All tokens of that user that were given up to that time are ended; the user `*` is everybody.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::live_file::LiveFile;
use crate::problem::{Problem, Problems};

/// Who is meant by `--all`.
const EVERYBODY: &str = "*";

/// Until when the identity tokens of whom are ended, in milliseconds since 1970.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Revoked(HashMap<String, i128>);

impl Revoked {
    /// Reads a whole file. Blank lines and those that begin with `#` are skipped.
    pub(crate) fn parse(text: &[u8]) -> Result<Revoked, Vec<(usize, &'static str)>> {
        let mut revoked: HashMap<String, i128> = HashMap::new();
        let mut bad = Vec::new();
        for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            match entry(line) {
                Ok(None) => {}
                Ok(Some((user, until))) => {
                    let known = revoked.entry(user.to_owned()).or_insert(until);
                    *known = until.max(*known);
                }
                Err(message) => bad.push((number, message)),
            }
        }
        if bad.is_empty() { Ok(Revoked(revoked)) } else { Err(bad) }
    }

    /// Whether a token of `user` that was given at this time, in milliseconds since 1970, is ended.
    pub(crate) fn ends(&self, user: &str, given: u64) -> bool {
        let until = |user| self.0.get(user).is_some_and(|until| i128::from(given) <= *until);
        until(EVERYBODY) || until(user)
    }
}

/// Where the file is for the key at `key`.
pub(crate) fn beside(key: &Path) -> PathBuf {
    let mut path = key.as_os_str().to_owned();
    path.push(".revoked");
    path.into()
}

/// Follows the file for the key at `key`: an edit of it counts at the next look. As long as there never was one, nobody is
/// revoked.
pub(crate) fn open(key: &Path) -> Result<LiveFile<Revoked>, Problems> {
    let parse = |path: &Path, text: &[u8]| {
        let place = |line: usize| format!("{}:{line}", path.display());
        Revoked::parse(text).map_err(|bad| {
            bad.into_iter().map(|(line, message)| Problem::new(place(line), message)).collect::<Vec<_>>()
        })
    };
    LiveFile::open_or_absent(
        &beside(key),
        "list of revoked logins",
        "restore it, or make an empty one",
        Box::new(parse),
    )
}

/// The text of the file with all tokens of these users ended that were given up to `now`; of everybody when there are none.
/// Comments stay, and lines that say no more than the new ones go.
pub(crate) fn revoke(text: &str, users: &[String], now: SystemTime) -> String {
    let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    let time = OffsetDateTime::from(now).format(format).unwrap_or_default();
    let everybody = [EVERYBODY.to_owned()];
    let users = if users.is_empty() { &everybody[..] } else { users };
    let stays = |line: &&str| match entry(line.as_bytes()) {
        Ok(Some((user, _))) => users != everybody && !users.iter().any(|one| one == user),
        _ => true,
    };
    let kept = text.lines().filter(stays).map(str::to_owned);
    let new = users.iter().map(|user| format!("{user} {time}"));
    kept.chain(new).map(|line| line + "\n").collect()
}

/// One line: nothing, or user and time. A user's name may hold spaces.
fn entry(line: &[u8]) -> Result<Option<(&str, i128)>, &'static str> {
    const WANTED: &str = "write a user, a space and a time, such as: alice 2027-01-31T12:00:00.000Z";
    let line = std::str::from_utf8(line).map_err(|_| WANTED)?.trim_ascii();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (user, time) = line.rsplit_once(' ').ok_or(WANTED)?;
    let time = OffsetDateTime::parse(time, &Rfc3339).map_err(|_| WANTED)?;
    // What is finer than a millisecond counts as the whole of it.
    Ok(Some((user.trim_ascii(), time.unix_timestamp_nanos().div_euclid(1_000_000))))
}

#[cfg(test)]
mod tests;
