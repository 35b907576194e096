//! Changing the users in the text of an htpasswd file.

use super::htpasswd::Line;

/// The text with the hash of `user` set, and whether a line was replaced. All other lines are kept
/// byte for byte. If the user has several lines, the first is replaced and the others are removed.
pub(crate) fn set_user(text: &[u8], user: &[u8], hash: &str) -> (Vec<u8>, bool) {
    let mut replaced = false;
    let mut new = Vec::with_capacity(text.len() + user.len() + hash.len() + 2);
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        if !is_of(line, user) {
            new.extend_from_slice(line);
        } else if !replaced {
            new.extend_from_slice(&entry(user, hash));
            new.extend_from_slice(if line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" });
            replaced = true;
        }
    }
    if !replaced {
        if !new.is_empty() && !new.ends_with(b"\n") {
            new.push(b'\n');
        }
        new.extend_from_slice(&entry(user, hash));
        new.push(b'\n');
    }
    (new, replaced)
}

/// The text without the lines of `user`, all others kept byte for byte; `None` if there is no such
/// user.
pub(crate) fn remove_user(text: &[u8], user: &[u8]) -> Option<Vec<u8>> {
    let lines = || text.split_inclusive(|byte| *byte == b'\n');
    lines()
        .any(|line| is_of(line, user))
        .then(|| lines().filter(|line| !is_of(line, user)).flatten().copied().collect())
}

fn entry(user: &[u8], hash: &str) -> Vec<u8> {
    [user, b":", hash.as_bytes()].concat()
}

fn is_of(line: &[u8], user: &[u8]) -> bool {
    matches!(Line::read(line), Line::Entry { user: found, .. } if found == user)
}

#[cfg(test)]
mod tests;
