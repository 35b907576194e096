//! `[[auth.issuer]]`: an OpenID Connect issuer whose ID tokens sign in.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::print::Printer;
use super::section::Section;

/// An example of an entry, for messages.
pub(super) const EXAMPLE: &str = r#"[{ name = "gitlab", url = "https://gitlab.example.com", audience = ["registry.example.com"], require = { project_path = "team/**" } }]"#;

/// An issuer of ID tokens. Two of them are equal if they mean the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// Where the entry stands, for messages.
    pub place: String,
    /// `a-z`, `0-9` and `-`. Users are `name:…`, groups `@name:…`.
    pub name: String,
    /// The `iss` of its tokens, byte by byte; https.
    pub url: String,
    /// One of them must be in `aud`. At least one.
    pub audience: Vec<String>,
    /// What claims must be. At least one.
    pub require: BTreeMap<String, Condition>,
    /// The name of the user, with claims: `${project_path}`.
    pub user: String,
    /// The claim that holds the groups.
    pub groups: Option<String>,
    /// PEM roots for discovery and keys; `None` means those of the system.
    pub ca: Option<PathBuf>,
    /// A file with a JWKS, instead of discovery.
    pub keys: Option<PathBuf>,
    /// How long the identity token of a login lasts; zero means that there is none.
    pub login_ttl: Duration,
}

/// What a claim must be: one of several values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(pub Vec<Wanted>);

/// A value of a claim. Types do not mix: the text "true" is not `true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// A text, in which `*` is anything without `/` and `:`, and `**` is anything.
    Text(String),
    Flag(bool),
    Number(i64),
}

impl Issuer {
    pub(super) fn read(_section: &mut Section<'_, '_>) -> Option<Self> {
        None
    }

    pub(super) fn print(&self, _to: &mut Printer<'_>) {}
}
