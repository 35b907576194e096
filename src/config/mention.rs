//! Names of users in `[groups]` and `[[access]]`.

use std::path::Path;

use super::complaint::Complaint;
use super::words::nearest;
use crate::problem::Problem;
use crate::user::{BadName, User};

/// The name of a user in `[groups]` or `[[access]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mention {
    /// The location of the name, as shown in messages.
    pub place: String,
    /// The key that holds the name, such as `access.users`.
    pub key: String,
    pub name: User,
    /// The name to suggest if no user has this one.
    pub instead: Option<String>,
}

impl Mention {
    /// The problem that no user in `file` has this name, or that there is no file. `users` are the
    /// users in it.
    pub fn unknown<'u>(&self, file: Option<&Path>, users: impl Iterator<Item = &'u str>) -> Problem {
        let Self { place, key, name, instead } = self;
        let advice = match instead.as_deref().or_else(|| nearest(name.as_str()?, users)) {
            Some(near) => format!("did you mean {near:?}?"),
            None => "nobody can log in with this name".to_owned(),
        };
        let missing = match file {
            Some(file) => format!("is not in {}", file.display()),
            None => "can have no password without auth.htpasswd".to_owned(),
        };
        Problem::new(place, format!("{key}: {name:?} {missing}; {advice}"))
    }
}

/// Parses the name of one user.
pub(super) fn user(name: &str) -> Result<User, Complaint> {
    match name {
        "*" | "anonymous" => Err("it is not a single user; write it among the users of [[access]]".into()),
        _ if name.starts_with('@') => Err("a group cannot contain groups".into()),
        _ if name.contains('*') => Err("the name of a user cannot be a pattern".into()),
        _ if name.contains(char::is_control) => Err(BadName::Control.to_string().into()),
        _ => User::parse(name).map_err(|bad| bad.to_string().into()),
    }
}
