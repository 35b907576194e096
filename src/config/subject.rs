//! Whom a rule is for: an entry of `access.users`, or of a group.

use super::complaint::Complaint;
use super::mention::user;
use super::words::nearest;
use crate::user::User;

/// The users that a rule applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `anonymous`: everyone, authenticated or not.
    Anonymous,
    /// `*`: every authenticated user of the htpasswd file, of a directory, or with a certificate.
    EveryUser,
    /// `NAME:*`: everybody whom this issuer vouches for.
    Issuer(String),
    /// `@SOURCE:NAME`: the group of this name at a source; without the `@`.
    Group(String),
    User(User),
}

/// Where users and groups may come from, beside the htpasswd file.
pub(super) struct Sources {
    /// `ldap` or `http`, if there is such a section.
    pub(super) remote: Option<&'static str>,
    /// The names of the issuers.
    pub(super) issuers: Vec<String>,
}

impl Subject {
    /// An entry that may stand in a group too. Without `sources`, every source is accepted.
    pub(super) fn member(text: &str, sources: Option<&Sources>) -> Result<Self, Complaint> {
        if let Some(group) = text.strip_prefix('@').filter(|group| group.contains(':')) {
            sources.map_or(Ok(()), |sources| sources.expect_group(group))?;
            return Ok(Self::Group(group.to_owned()));
        }
        if let Some((source, name)) = text.split_once(':') {
            sources.map_or(Ok(()), |sources| sources.expect_issuer(source, name))?;
            if name == "*" {
                return Ok(Self::Issuer(source.to_owned()));
            }
        }
        user(text).map(Self::User)
    }
}

/// As it is written.
impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anonymous => f.write_str("anonymous"),
            Self::EveryUser => f.write_str("*"),
            Self::Issuer(name) => write!(f, "{name}:*"),
            Self::Group(name) => write!(f, "@{name}"),
            Self::User(user) => write!(f, "{user}"),
        }
    }
}

impl Sources {
    fn expect_group(&self, group: &str) -> Result<(), Complaint> {
        let (source, name) = group.split_once(':').unwrap_or_default();
        if name.is_empty() {
            return Err(format!("the name of the group is missing; write \"@{source}:developers\"").into());
        }
        if self.remote == Some(source) || self.issuers.iter().any(|issuer| issuer == source) {
            return Ok(());
        }
        let advice = match source {
            "ldap" | "http" => format!("add [auth.{source}]"),
            _ => self.advice(source, |near| format!("@{near}:{name}")),
        };
        Err(format!("nothing that logs users in is called {source:?}; {advice}").into())
    }

    fn expect_issuer(&self, source: &str, name: &str) -> Result<(), Complaint> {
        if self.issuers.iter().any(|issuer| issuer == source) {
            return Ok(());
        }
        if matches!(source, "ldap" | "http" | "htpasswd") {
            let own = if name == "*" { "*" } else { name };
            return Err(format!("users of {source} have no name before theirs; write {own:?}").into());
        }
        let advice = self.advice(source, |near| format!("{near}:{name}"));
        Err(format!("there is no [[auth.issuer]] called {source:?}; {advice}").into())
    }

    fn advice(&self, source: &str, instead: impl Fn(&str) -> String) -> String {
        let known = self.remote.into_iter().chain(self.issuers.iter().map(String::as_str));
        match nearest(source, known) {
            Some(near) => format!("did you mean {:?}?", instead(near)),
            None => "the part before the colon is the name of an [[auth.issuer]]".to_owned(),
        }
    }
}
