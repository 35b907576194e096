//! What may be done with a repository.

use std::fmt;
use std::ops::{BitAnd, BitOr};

/// A set of actions, named as in scopes and in `access.actions`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u8);

const NAMES: [(&str, Rights); 4] = [
    ("pull", Rights::PULL),
    ("push", Rights::PUSH),
    ("delete", Rights::DELETE),
    ("catalog", Rights::CATALOG),
];

impl Rights {
    /// The empty set.
    pub const NONE: Rights = Rights(0);
    /// Read manifests, blobs, tags and referrers.
    pub const PULL: Rights = Rights(1);
    /// Write manifests and blobs.
    pub const PUSH: Rights = Rights(2);
    /// Delete manifests and blobs.
    pub const DELETE: Rights = Rights(4);
    /// List all repositories; the only right that is not in one repository.
    pub const CATALOG: Rights = Rights(8);
    /// All rights in a repository.
    pub const ALL: Rights = Rights(7);

    /// The right of this name.
    pub fn named(name: &str) -> Option<Rights> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, right)| *right)
    }

    /// The names, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(_, right)| self.contains(*right)).map(|(name, _)| name)
    }

    /// Whether this set contains all of `others`.
    pub const fn contains(self, others: Rights) -> bool {
        self.0 & others.0 == others.0
    }

    /// Whether the set is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The rights of this set that are not in `others`.
    pub const fn without(self, others: Rights) -> Rights {
        Rights(self.0 & !others.0)
    }
}

impl BitOr for Rights {
    type Output = Rights;

    fn bitor(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }
}

impl BitAnd for Rights {
    type Output = Rights;

    fn bitand(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }
}

impl FromIterator<Rights> for Rights {
    fn from_iter<I: IntoIterator<Item = Rights>>(rights: I) -> Rights {
        rights.into_iter().fold(Rights::NONE, BitOr::bitor)
    }
}

/// `pull,push`, as in a scope.
impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names().collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_names() {
        let both = Rights::PULL | Rights::PUSH;
        assert_eq!(both.to_string(), "pull,push");
        assert_eq!(["push", "pull"].into_iter().filter_map(Rights::named).collect::<Rights>(), both);
        assert!(Rights::ALL.contains(both) && !both.contains(Rights::DELETE) && both.contains(Rights::NONE));
        assert_eq!(both & Rights::PUSH, Rights::PUSH);
        assert_eq!(Rights::ALL.without(both), Rights::DELETE);
        assert!(!Rights::ALL.contains(Rights::CATALOG) && Rights::NONE.is_empty());
        assert_eq!(Rights::named("Pull"), None);
    }
}
