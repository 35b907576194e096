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

/// What an unknown user costs in a file that holds no bcrypt hash: the cost that `htpasswd add` uses.
const USUAL_COST: u32 = 10;

/// The users of one htpasswd file. It does not change: a new file is a new value.
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

/// Follows the htpasswd file at `path`: an edit of it counts at the next look.
///
/// # Errors
/// The file is missing or cannot be read, and every bad line in it.
pub(crate) fn open(path: &Path, legacy_hashes: bool) -> Result<LiveFile<Htpasswd>, Problems> {
    let parse = move |path: &Path, text: &[u8]| {
        Htpasswd::parse(text, legacy_hashes)
            .map_err(|bad| bad.into_iter().map(|bad| bad.at(path)).collect::<Vec<_>>())
    };
    let remedy = "make it with: tidegate htpasswd add FILE USER";
    LiveFile::open(path, "htpasswd file", remedy, Box::new(parse))
}

/// A line that cannot be used, and why, without the hash that stands in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// Counted from 1.
    pub line: usize,
    /// One sentence for the operator.
    pub message: String,
}

impl BadLine {
    fn at(self, path: &Path) -> Problem {
        Problem::new(format!("{}:{}", path.display(), self.line), self.message)
    }
}

impl Htpasswd {
    /// Reads a whole file, and finds every bad line in it before it gives up.
    ///
    /// A line is `user:hash`; what follows a second colon is a comment, as Apache and nginx have it. Blank
    /// lines and those that begin with `#` are skipped, space around a line and CRLF are tolerated. Users are
    /// bytes; they need not be UTF-8.
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

    /// How many users there are.
    pub fn len(&self) -> usize {
        self.users.len()
    }

    /// Whether there is nobody, so that no password is right.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// The users and their hashes in the order of the file.
    pub fn users(&self) -> Vec<(&User, &StoredHash)> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_by_key(|(_, listed)| listed.line);
        users.into_iter().map(|(user, listed)| (user, &*listed.stored)).collect()
    }

    /// The bcrypt cost that the slowest check of this file amounts to, and that every failed one does.
    pub fn highest_cost(&self) -> u32 {
        self.highest_cost
    }

    /// The user of this name, if there is one.
    pub fn person(&self, name: &[u8]) -> Option<Person> {
        self.get(name).map(|(user, stored)| Person { user: user.clone(), fingerprint: *stored.fingerprint() })
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

/// What a line is, before anybody asks whether it is good.
pub(super) enum Line<'a> {
    /// Nothing, or a comment.
    Blank,
    /// Two fields; both may be anything.
    Entry { user: &'a [u8], hash: &'a [u8] },
    /// Neither.
    NoColon,
}

impl Line<'_> {
    /// Reads one line, with or without its end.
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
