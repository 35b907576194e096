//! A registry whose repositories have shorter names than clients use: `strip` of a `[[route]]`.
//!
//! The *outer* name is the one that clients, rules and logs use. The *inner* name is the one that
//! the registry knows. The outer name is the prefix and the inner name.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

use super::name;
use super::target;

const API: &str = "/v2/";

/// How the names at a registry differ from those that clients use.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Renaming {
    /// Empty, or components of a name with a `/` after each.
    prefix: String,
}

impl Renaming {
    /// The registry's names lack `prefix`. An empty one means that all names are the same.
    pub(crate) fn stripping(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned() }
    }

    /// Whether any name differs.
    pub(crate) fn is_needed(&self) -> bool {
        !self.prefix.is_empty()
    }

    /// The registry's name for `outer`; `None` if no repository of the registry has that name.
    pub(crate) fn inner<'a>(&self, outer: &'a str) -> Option<&'a str> {
        outer.strip_prefix(&self.prefix).filter(|inner| !inner.is_empty())
    }

    /// The clients' name for the repository `inner` of the registry.
    pub(crate) fn outer(&self, inner: &str) -> String {
        format!("{}{inner}", self.prefix)
    }

    /// The prefix of the clients' names.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The registry's path for a decoded path of a repository, with or without a query; `None` if
    /// the path names no repository of this registry.
    pub(crate) fn inner_path(&self, path: &str) -> Option<String> {
        Some(format!("{API}{}", self.inner(path.strip_prefix(API)?)?))
    }

    /// The clients' path for a path of the registry, with or without a query. Only a path of a
    /// repository has another one: a path that the API has, or one below the repository `asked`.
    pub(crate) fn outer_path<'a>(&self, path: &'a str, asked: Option<&str>) -> Cow<'a, str> {
        let Some(rest) = path.strip_prefix(API).filter(|_| self.is_needed()) else {
            return Cow::Borrowed(path);
        };
        let written = path.split(['?', '#']).next().unwrap_or_default();
        let decoded = target::decode(written);
        let is_below = |asked: &str| {
            let rest = decoded.strip_prefix(API).and_then(|rest| rest.strip_prefix(asked));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let is_named = target::parse(&Method::GET, &decoded).repository.is_some();
        if is_named || asked.is_some_and(is_below) {
            Cow::Owned(format!("{API}{}{rest}", self.prefix))
        } else {
            Cow::Borrowed(path)
        }
    }

    /// The clients' text for scopes of the registry, which spaces separate.
    pub(crate) fn outer_scopes(&self, scopes: &str) -> String {
        let scopes = scopes.split(' ').map(|scope| match repository_in(scope) {
            Some((before, inner, after)) => format!("{before}{}{after}", self.outer(inner)),
            None => scope.to_owned(),
        });
        scopes.collect::<Vec<_>>().join(" ")
    }

    /// What people get to read instead of `text`, in which the registry may name the repositories
    /// `inner`; `None` if it names none of them.
    pub(crate) fn text(&self, text: &str, inner: &[&str]) -> Option<String> {
        let mut renamed = String::new();
        let (mut copied, mut at) = (0, 0);
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let is_here = |name: &&&str| {
                let after = rest.strip_prefix(**name).filter(|_| !name.is_empty());
                after.is_some_and(|after| is_a_name(text.get(..at).unwrap_or_default(), after))
            };
            match inner.iter().filter(is_here).max_by_key(|name| name.len()) {
                Some(name) => {
                    renamed.push_str(text.get(copied..at)?);
                    renamed.push_str(&self.prefix);
                    renamed.push_str(name);
                    at += name.len();
                    copied = at;
                }
                None => at += rest.chars().next().map_or(1, char::len_utf8),
            }
        }
        renamed.push_str(text.get(copied..)?);
        (copied > 0).then_some(renamed)
    }

    /// The body of an error for clients, as [`Renaming::text`] for each text in it; `None` if it
    /// stays as it is.
    pub(crate) fn error_body(&self, body: &[u8], inner: &[&str]) -> Option<Vec<u8>> {
        let mut value = serde_json::from_slice(body).ok()?;
        let is_renamed = self.rename(&mut value, inner);
        serde_json::to_vec(&value).ok().filter(|_| is_renamed)
    }

    fn rename(&self, value: &mut Value, inner: &[&str]) -> bool {
        match value {
            Value::String(text) => match self.text(text, inner) {
                Some(renamed) => {
                    *text = renamed;
                    true
                }
                None => false,
            },
            Value::Array(list) => list.iter_mut().fold(false, |is, value| self.rename(value, inner) | is),
            Value::Object(object) => {
                // A repository may have the name of a field, such as `errors` or `name`.
                let of_fields: Vec<_> = inner.iter().copied().filter(|name| name.contains('/')).collect();
                let mut is_renamed = false;
                let renamed = std::mem::take(object).into_iter().map(|(key, mut value)| {
                    let new = self.text(&key, &of_fields);
                    is_renamed |= self.rename(&mut value, inner) | new.is_some();
                    (new.unwrap_or(key), value)
                });
                *object = renamed.collect();
                is_renamed
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => false,
        }
    }
}

/// A list of tags with the name `outer`; `None` if the body is not such a list.
pub(crate) fn tags_of(outer: &str, body: &[u8]) -> Option<Vec<u8>> {
    let mut list: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(body).ok()?;
    let name = to_raw_value(outer).ok()?;
    if let Some(named) = list.get_mut("name") {
        *named = &name;
    }
    serde_json::to_vec(&list).ok()
}

/// The repository in the text of a scope, with what stands before and after it.
pub(crate) fn repository_in(scope: &str) -> Option<(&str, &str, &str)> {
    let (kind, _) = scope.split_once(':')?;
    let (before, actions) = scope.rsplit_once(':')?;
    let start = kind.len() + 1;
    let inner = before.get(start..).filter(|inner| name::is_repository(inner))?;
    let is_repository = kind == "repository" || kind.starts_with("repository(");
    is_repository.then(|| (&scope[..start], inner, &scope[before.len()..])).filter(|_| !actions.contains('/'))
}

/// Whether a text between these two is the whole name of a repository, and not a part of a longer
/// one. Paths of the API and of folders go on behind the name.
fn is_a_name(before: &str, after: &str) -> bool {
    let is_in_path = [API, "/repositories/"].iter().any(|folder| before.ends_with(folder));
    let begins = !before.ends_with(is_of_name) || is_in_path || ends_with_host(before);
    let goes_on = ["/manifests/", "/blobs/", "/tags/", "/referrers/", "/_"];
    let is_path_behind =
        is_in_path && after.starts_with('/') || goes_on.iter().any(|next| after.starts_with(next));
    // A full stop may end the sentence.
    let ends = !after.trim_start_matches(['.', '_', '-']).starts_with(is_of_name);
    begins && (ends || is_path_behind)
}

fn is_of_name(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-' | '/')
}

/// Whether `text` ends with a host and a `/`, as before the repository in a reference of an image.
fn ends_with_host(text: &str) -> bool {
    let Some(text) = text.strip_suffix('/') else { return false };
    let is_of_host =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | ':');
    let host = text.rsplit(|character| !is_of_host(character)).next().unwrap_or_default();
    let rest = text.strip_suffix(host).unwrap_or_default();
    let is_host = host == "localhost" || host.contains(['.', ':']);
    is_host && (!rest.ends_with(is_of_name) || rest.ends_with("//"))
}

#[cfg(test)]
mod tests;
