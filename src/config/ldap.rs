//! `[auth.ldap]`: a directory whose users may log in.

use std::path::PathBuf;
use std::time::Duration;

use super::print::Printer;
use super::section::Section;

/// A directory. Two of them are equal if they mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ldap {
    /// At least one; the next one counts only when one cannot be reached.
    pub servers: Vec<LdapServer>,
    /// PEM roots; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// Who searches; `None` means anonymously.
    pub bind_dn: Option<String>,
    /// The file with the password of `bind_dn`.
    pub bind_password: Option<PathBuf>,
    /// Below this DN users are searched.
    pub base: String,
    /// A filter with `${user}`.
    pub filter: String,
    /// The attribute that is the user's name from then on.
    pub user_attribute: String,
    /// Below this DN groups are searched; `None` means that there are no groups.
    pub group_base: Option<String>,
    /// A filter with `${dn}` or `${user}`.
    pub group_filter: String,
    pub group_attribute: String,
    /// Levels of groups in groups that are walked.
    pub nested: usize,
    /// For a whole login at the directory.
    pub timeout: Duration,
    /// Logins at once.
    pub connections: usize,
    /// Wrong passwords of one person that the directory is asked within the window; 0 means no limit.
    pub failures: usize,
    pub window: Duration,
}

/// Where a directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LdapServer {
    /// `ldaps://HOST:PORT`
    Tls { host: String, port: u16 },
    /// `ldap://HOST:PORT`, which always means STARTTLS.
    StartTls { host: String, port: u16 },
    /// `unix:/PATH`
    Unix(PathBuf),
}

impl Ldap {
    /// `None` inside if the section is not there.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Option<Self>> {
        if !section.is_there() {
            return Some(None);
        }
        None
    }

    pub(super) fn print(&self, _to: &mut Printer<'_>) {}
}
