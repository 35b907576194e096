//! The htpasswd format: one `user:hash` a line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use super::hash::StoredHash;
use super::person::Person;
use crate::live_file::LiveFile;
use crate::problem::{Problem, Problems};
use crate::user::{BadName, User};

/// The cost of a failed check in a file without bcrypt hashes: the one that `htpasswd add` uses.
const USUAL_COST: u32 = 10;

/// The users of one htpasswd file, as read at one moment.
#[derive(Debug)]
pub struct Htpasswd {
    users: HashMap<User, Listed>,
    highest_cost: u32,
}

#[derive(Debug)]
struct Listed {
    line: usize,
    stored: Arc<StoredHash>,
}

/// Opens the htpasswd file at `path`; later edits take effect at the next request.
///
/// # Errors
/// The file is missing or cannot be read, or every bad line in it.
pub(crate) fn open(path: &Path, legacy_hashes: bool) -> Result<LiveFile<Htpasswd>, Problems> {
    let parse = move |path: &Path, text: &[u8]| {
        Htpasswd::parse(text, legacy_hashes)
            .map_err(|bad| bad.into_iter().map(|bad| bad.at(path)).collect::<Vec<_>>())
    };
    let remedy = "make it with: tidegate htpasswd add FILE USER";
    LiveFile::open(path, "htpasswd file", remedy, Box::new(parse))
}

/// A line that cannot be used. Does not contain the hash on that line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong, for the operator.
    pub message: String,
}

impl BadLine {
    fn at(self, path: &Path) -> Problem {
        Problem::new(format!("{}:{}", path.display(), self.line), self.message)
    }
}

impl Htpasswd {
    /// Reads a whole file.
    ///
    /// A line is `user:hash`; text after a second colon is a comment, as in Apache and nginx. Blank
    /// lines and lines that begin with `#` are skipped; space around a line and CRLF are tolerated.
    /// Names are bytes and need not be UTF-8.
    ///
    /// # Errors
    /// Every bad line of the file.
    pub fn parse(text: &[u8], legacy_hashes: bool) -> Result<Htpasswd, Vec<BadLine>> {
        let mut users: HashMap<User, Listed> = HashMap::new();
        let mut bad = Vec::new();
        for (line, content) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let (name, hash) = match Line::read(content) {
                Line::Blank => continue,
                Line::Entry { user, hash } => (user, hash),
                Line::NoColon => {
                    bad.push(BadLine { line, message: "expected user:hash, found no colon".into() });
                    continue;
                }
            };
            let user = match user(name) {
                Ok(user) => user,
                Err(error) => {
                    bad.push(BadLine { line, message: error.to_string() });
                    continue;
                }
            };
            match (users.entry(user), StoredHash::parse(hash, legacy_hashes)) {
                (Entry::Occupied(first), _) => {
                    let (user, first) = (first.key(), first.get().line);
                    let message = format!("user {user:?} stands here and on line {first}; keep one");
                    bad.push(BadLine { line, message });
                }
                (Entry::Vacant(entry), Err(error)) => {
                    bad.push(BadLine { line, message: format!("user {:?}: {error}", entry.key()) });
                }
                (Entry::Vacant(entry), Ok(stored)) => {
                    entry.insert(Listed { line, stored: Arc::new(stored) });
                }
            }
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        let highest = users.values().map(|listed| listed.stored.cost()).max().unwrap_or(0);
        let bcrypt = users.values().any(|listed| !listed.stored.is_legacy());
        let highest_cost = if bcrypt { highest } else { highest.max(USUAL_COST) };
        Ok(Self { users, highest_cost })
    }

    /// Nobody. To check a password costs what it does with a new file.
    pub(super) fn empty() -> Htpasswd {
        Self { users: HashMap::new(), highest_cost: USUAL_COST }
    }

    /// All users with their hashes, in the order of the file.
    pub(crate) fn users(&self) -> Vec<(&User, &StoredHash)> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_by_key(|(_, listed)| listed.line);
        users.into_iter().map(|(user, listed)| (user, &*listed.stored)).collect()
    }

    /// The bcrypt cost of the slowest hash in the file, which is the cost of every failed check.
    pub(crate) fn highest_cost(&self) -> u32 {
        self.highest_cost
    }

    /// The user of this name, if there is one.
    pub(crate) fn person(&self, name: &[u8]) -> Option<Person> {
        self.get(name).map(|(user, stored)| Person::listed(user, stored))
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<(&User, &Arc<StoredHash>)> {
        self.users.get_key_value(name).map(|(user, listed)| (user, &listed.stored))
    }
}

/// Why a name cannot stand in an htpasswd file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadUser {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("a user name cannot begin with #, which begins a comment")]
    Comment,
    /// An editor put it at the beginning of the file, where nobody sees it.
    #[error("the line begins with a byte order mark; save the file without it")]
    ByteOrderMark,
}

/// A local name that can stand at the beginning of a line.
pub(crate) fn user(name: &[u8]) -> Result<User, BadUser> {
    match name {
        [b'#', ..] => Err(BadUser::Comment),
        [0xef, 0xbb, 0xbf, ..] => Err(BadUser::ByteOrderMark),
        _ => Ok(User::local(name)?),
    }
}

/// The parts of a line, not yet checked.
pub(super) enum Line<'a> {
    /// Empty, or a comment.
    Blank,
    Entry {
        user: &'a [u8],
        hash: &'a [u8],
    },
    NoColon,
}

impl Line<'_> {
    /// Reads one line, with or without its line feed.
    pub(super) fn read(line: &[u8]) -> Line<'_> {
        let line = line.trim_ascii();
        if line.is_empty() || line.starts_with(b"#") {
            return Line::Blank;
        }
        let mut fields = line.splitn(3, |byte| *byte == b':');
        match (fields.next(), fields.next()) {
            (Some(user), Some(hash)) => Line::Entry { user, hash },
            _ => Line::NoColon,
        }
    }
}

#[cfg(test)]
mod tests;
