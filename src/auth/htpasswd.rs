//! The htpasswd format: one `user:hash` a line.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;

use super::hash::StoredHash;
use crate::live_file::LiveFile;
use crate::problem::{Problem, Problems};

/// What an unknown user costs in a file that holds no bcrypt hash: the cost that `htpasswd add` uses.
const USUAL_COST: u32 = 10;
/// Longer names than any registry client sends are mistakes in the file.
const LONGEST_USER: usize = 255;

/// The users of one htpasswd file. It does not change: a new file is a new value.
#[derive(Debug)]
pub struct Htpasswd {
    users: HashMap<Box<[u8]>, User>,
    highest_cost: u32,
}

#[derive(Debug)]
struct User {
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
        let mut users: HashMap<Box<[u8]>, User> = HashMap::new();
        let mut bad = Vec::new();
        for (line, content) in (1..).zip(text.split(|byte| *byte == b'\n')) {
            let (user, hash) = match Line::read(content) {
                Line::Blank => continue,
                Line::Entry { user, hash } => (user, hash),
                Line::NoColon => {
                    bad.push(BadLine { line, message: "expected user:hash, found no colon".into() });
                    continue;
                }
            };
            if let Err(error) = check_user(user) {
                bad.push(BadLine { line, message: error.to_string() });
                continue;
            }
            match (users.entry(user.into()), StoredHash::parse(hash, legacy_hashes)) {
                (Entry::Occupied(first), _) => {
                    let message =
                        format!("user {} stands here and on line {}; keep one", name(user), first.get().line);
                    bad.push(BadLine { line, message });
                }
                (Entry::Vacant(_), Err(error)) => {
                    bad.push(BadLine { line, message: format!("user {}: {error}", name(user)) });
                }
                (Entry::Vacant(entry), Ok(stored)) => {
                    entry.insert(User { line, stored: Arc::new(stored) });
                }
            }
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        let highest = users.values().map(|user| user.stored.cost()).max().unwrap_or(0);
        let bcrypt = users.values().any(|user| !user.stored.is_legacy());
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
    pub fn users(&self) -> Vec<(&[u8], &StoredHash)> {
        let mut users: Vec<_> = self.users.iter().collect();
        users.sort_by_key(|(_, user)| user.line);
        users.into_iter().map(|(name, user)| (&**name, &*user.stored)).collect()
    }

    /// The bcrypt cost that the slowest check of this file amounts to, and that every failed one does.
    pub fn highest_cost(&self) -> u32 {
        self.highest_cost
    }

    /// What tells the stored hash of this user from any other, without giving it away; `None` when there is no such user.
    pub fn fingerprint(&self, user: &[u8]) -> Option<[u8; 32]> {
        self.get(user).map(|stored| *stored.fingerprint())
    }

    pub(super) fn get(&self, user: &[u8]) -> Option<&Arc<StoredHash>> {
        self.users.get(user).map(|user| &user.stored)
    }
}

/// Why a name cannot stand in an htpasswd file, or could not be sent by a client (RFC 7617).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UserError {
    /// Nothing at all.
    #[error("the user name is empty")]
    Empty,
    /// More bytes than anybody needs.
    #[error("the user name is longer than {LONGEST_USER} bytes")]
    Long,
    /// The colon ends the name, in the file and in the header.
    #[error("a user name cannot hold a colon")]
    Colon,
    /// NUL, newline, escape and the like.
    #[error("the user name holds a control character")]
    Control,
    /// It would be a comment.
    #[error("a user name cannot begin with #, which begins a comment")]
    Comment,
    /// It would be trimmed away.
    #[error("a user name cannot begin or end with a space")]
    Space,
    /// An editor left a mark that nobody sees.
    #[error("the line begins with a byte order mark; save the file without it")]
    ByteOrderMark,
}

/// Whether this can be the name of a user.
pub(crate) fn check_user(user: &[u8]) -> Result<(), UserError> {
    match user {
        [] => Err(UserError::Empty),
        _ if user.len() > LONGEST_USER => Err(UserError::Long),
        [b'#', ..] => Err(UserError::Comment),
        [b' ', ..] | [.., b' '] => Err(UserError::Space),
        [0xef, 0xbb, 0xbf, ..] => Err(UserError::ByteOrderMark),
        _ if user.contains(&b':') => Err(UserError::Colon),
        _ if user.iter().any(u8::is_ascii_control) => Err(UserError::Control),
        _ => Ok(()),
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

/// A user's name as a message shows it.
pub(super) fn name(user: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(user))
}

#[cfg(test)]
mod tests;
