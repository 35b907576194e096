//! The revoked logins: a file beside the key with a line `user time` for each user.
//!
//! Identity tokens issued to that user up to that time are ended. The user `*` stands for all
//! users.
//!
//! Once there is a list, the key file says so. A list that is lost while tidegate is stopped would
//! otherwise make revoked logins valid again.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::disk::{Remark, shell_word};
use crate::live_file::LiveFile;
use crate::problem::{Problem, Problems};

/// What `--all` writes as the user.
pub(super) const EVERYBODY: &str = "*";

/// What the key file says that has, or had, a list.
pub(crate) const RECORD: Remark = Remark {
    line: "# tidegate: this key has a list of revoked logins, the file of this name with .revoked",
    start: "# tidegate: this key has a list of revoked logins",
};

/// For each user, the time up to which identity tokens are ended, in milliseconds since 1970.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Revoked(HashMap<String, i128>);

impl Revoked {
    /// Reads the text of the file. Blank lines and lines that begin with `#` are skipped.
    ///
    /// # Errors
    /// The number of each bad line, and what to write there.
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

    /// The users, each with the time up to which their identity tokens are ended.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, i128)> {
        self.0.iter().map(|(user, until)| (user.as_str(), *until))
    }

    /// Whether a token is ended that was issued to `user` at `given`, in milliseconds since 1970.
    pub(crate) fn ends(&self, user: &str, given: u64) -> bool {
        let until = |user| self.0.get(user).is_some_and(|until| i128::from(given) <= *until);
        until(EVERYBODY) || until(user)
    }
}

/// The path of the file that belongs to the key file `key`.
pub(crate) fn beside(key: &Path) -> PathBuf {
    let mut path = key.as_os_str().to_owned();
    path.push(".revoked");
    path.into()
}

/// The list that the key file says it has does not exist.
pub(crate) fn lost(key: &Path) -> Problem {
    let message = format!(
        "the list of revoked logins does not exist, but {key} says that it has one; without it, revoked logins \
         would be valid again; restore it, or end all logins with `tidegate token revoke {word} --all`, or make an \
         empty file if none has to stay revoked",
        key = key.display(),
        word = shell_word(key)
    );
    Problem::missing(&beside(key), message)
}

/// Follows the file that belongs to the key file `key`: an edit takes effect at the next look. No
/// login is revoked until the file first exists, unless the key says that it has a list.
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

/// The new text of the file, in which the logins of `users` up to `now` are ended; those of all
/// users if `users` is empty. Comments stay. Lines that the new ones make redundant are dropped.
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

/// User and time of one line; `None` for a comment or a blank line. A user name may hold spaces.
fn entry(line: &[u8]) -> Result<Option<(&str, i128)>, &'static str> {
    const WANTED: &str = "write a user, a space and a time, such as: alice 2027-01-31T12:00:00.000Z";
    let line = std::str::from_utf8(line).map_err(|_| WANTED)?.trim_ascii();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (user, time) = line.rsplit_once(' ').ok_or(WANTED)?;
    let time = OffsetDateTime::parse(time, &Rfc3339).map_err(|_| WANTED)?;
    // Fractions of a millisecond are dropped: tokens are dated in whole milliseconds.
    Ok(Some((user.trim_ascii(), time.unix_timestamp_nanos().div_euclid(1_000_000))))
}

#[cfg(test)]
mod tests;
