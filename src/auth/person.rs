//! A user who has proven who they are, and who has judged that.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use super::hash::{Fingerprint, StoredHash};
use crate::user::{Groups, User};

/// A user who has proven their password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub user: User,
    /// Those of their groups that rules name.
    pub groups: Groups,
    /// Identifies what the proof was checked against, without revealing it: the stored hash, or the
    /// entry of a directory with the date of its password. An identity token is tied to it.
    pub binding: Fingerprint,
    /// Who has judged the proof.
    pub source: Source,
}

impl Person {
    /// A user of an htpasswd file.
    pub(super) fn listed(user: &User, stored: &StoredHash) -> Self {
        Self {
            user: user.clone(),
            groups: Groups::default(),
            binding: *stored.fingerprint(),
            source: Source::Htpasswd,
        }
    }
}

/// Who judges a login. Displays as it is logged.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The htpasswd file.
    Htpasswd,
    /// `[auth.ldap]`.
    Ldap,
    /// `[auth.http]`.
    Http,
    /// The `[[auth.issuer]]` of this name.
    Issuer(Arc<str>),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl Source {
    /// As it is logged.
    pub(crate) fn text(&self) -> Cow<'static, str> {
        match self {
            Self::Htpasswd => "htpasswd".into(),
            Self::Ldap => "ldap".into(),
            Self::Http => "http".into(),
            Self::Issuer(name) => name.to_string().into(),
        }
    }
}
