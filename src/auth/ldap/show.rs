//! A login with everything that it finds, for operators.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::directory::Directory;
use super::failure::Failure;
use super::groups::groups;
use super::lookup::account;
use super::reason::{Said, said};
use crate::secret::Secret;
use crate::user::User;

/// What the directory says to a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// The server that has answered, as in the settings.
    pub(crate) server: String,
    /// `None` if there is no entry that counts.
    pub(crate) found: Option<ShownUser>,
    /// Why the login is refused; `None` if it is not.
    pub(crate) refused: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownUser {
    pub(crate) dn: String,
    pub(crate) user: User,
    /// All of their groups, as the directory names them, whether or not a rule does.
    pub(crate) groups: BTreeSet<String>,
}

pub(super) async fn show(
    directory: &Directory,
    name: &str,
    password: &Secret,
    deadline: Instant,
) -> Result<Shown, Failure> {
    let entry = match account(directory, name, deadline).await? {
        Ok(entry) => entry,
        Err(reason) => {
            return Ok(Shown { server: directory.current(), found: None, refused: Some(reason) });
        }
    };
    let groups = groups(directory, &entry, deadline).await?;
    let refused = if password.expose().is_empty() {
        Some("the password is empty")
    } else {
        let outcome = directory.bind(&entry.dn, password, deadline).await?;
        match said(&outcome) {
            Said::Right => None,
            Said::Wrong(reason) => Some(reason),
            Said::Nothing => return Err(Failure::Bind { server: directory.current(), outcome }),
        }
    };
    let found = Some(ShownUser { dn: entry.dn, user: entry.user, groups });
    Ok(Shown { server: directory.current(), found, refused })
}
