//! `[groups]` and `[[access]]`: who may do what where.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::file::several;
use super::keys::nearest;
use super::report::{Place, Report};
use super::section::Section;
use super::settings::{AccessRule, Subject};
use crate::registry::pattern::Pattern;
use crate::registry::rights::Rights;

/// What an entry of `[[access]]` looks like.
pub(super) const EXAMPLE: &str = r#"[[access]] once for each rule and its keys below it, or a list such as [{ users = ["alice"], repositories = ["team-a/**"], actions = ["pull"] }]"#;

/// The groups by their names.
pub(super) struct Groups(BTreeMap<String, Group>);

struct Group {
    place: Place,
    /// None where the list is wrong.
    users: Vec<Subject>,
    is_used: Cell<bool>,
}

impl Groups {
    fn find(&self, name: &str) -> Result<Vec<Subject>, String> {
        if let Some(group) = self.0.get(name) {
            group.is_used.set(true);
            return Ok(group.users.clone());
        }
        let near = nearest(name, self.0.keys().map(String::as_str));
        let advice = near.map_or("; [groups] is where groups stand".to_owned(), |near| {
            format!("; did you mean {:?}?", format!("@{near}"))
        });
        Err(format!("there is no group {name:?}{advice}"))
    }

    /// A group that no rule names does nothing.
    pub(super) fn warn_of_unused(&self, report: &mut Report) {
        for (name, group) in self.0.iter().filter(|(_, group)| !group.is_used.get()) {
            let message = format!("groups.{name}: no entry of [[access]] names \"@{name}\" among its users");
            report.warn(&group.place, message);
        }
    }
}

/// `[groups]`, whose keys are the operator's own.
pub(super) fn groups(section: &mut Section<'_, '_>) -> Option<Groups> {
    let in_file = section.table.keys().map(|key| key.get_ref().to_string());
    let names: BTreeSet<String> = in_file.chain(section.variables.keys().cloned()).collect();
    let groups = names.into_iter().map(|name| {
        let place = section.place(&name);
        if let Some(bare) = name.strip_prefix('@') {
            let message =
                format!("groups: found the name {name:?}; write {bare:?}, the @ stands in [[access]] alone");
            section.report.wrong(&place, message);
        }
        let users = several(section, &name, r#"the name of a user, such as "alice""#, user, |_| false);
        (name, Group { place, users: users.unwrap_or_default(), is_used: Cell::new(false) })
    });
    Some(Groups(groups.collect()))
}

/// One entry of `[[access]]`.
///
/// Without `groups`, or behind a syntax error, any group may be meant.
pub(super) fn rule(section: &mut Section<'_, '_>, groups: Option<&Groups>) -> Option<AccessRule> {
    let place = section.report.describe(&section.header);
    let groups = groups.filter(|_| !section.report.is_torn());
    let subjects = |text: &str| match (text, text.strip_prefix('@')) {
        ("anonymous", _) => Ok(vec![Subject::Anonymous]),
        ("*", _) => Ok(vec![Subject::EveryUser]),
        (_, Some(group)) => groups.map_or(Ok(Vec::new()), |groups| groups.find(group)),
        _ => user(text).map(|user| vec![user]),
    };
    let wanted = r#"the name of a user, a group such as "@developers", "*" for every user, or "anonymous" for everybody"#;
    // The text tells two groups of the same users apart.
    let parse = |text: &str| subjects(text).map(|subjects| (text.to_owned(), subjects));
    let users = required(section, "users", wanted, r#"["alice"]"#, parse);
    let patterns_place = section.place("repositories");
    let wanted = r#"a pattern of repositories, such as "team-a/**" or "${user}/*""#;
    let repositories = required(section, "repositories", wanted, r#"["team-a/**"]"#, str::parse::<Pattern>);
    let wanted = r#""pull", "push", "delete", "catalog", or "*" for the first three"#;
    let actions = required(section, "actions", wanted, r#"["pull"]"#, |text| match text {
        "*" => Ok(Rights::ALL),
        text => Rights::named(text).ok_or_else(String::new),
    });

    let (users, repositories) = (users?, repositories?);
    let mut subjects: Vec<Subject> = Vec::new();
    for subject in users.into_iter().flat_map(|(_, subjects)| subjects) {
        if !subjects.contains(&subject) {
            subjects.push(subject);
        }
    }
    let nobody_has_a_name = subjects.iter().all(|subject| *subject == Subject::Anonymous);
    if nobody_has_a_name && repositories.iter().all(Pattern::names_user) {
        let message = "access.repositories: each pattern holds ${user}, and \"anonymous\" alone has no name; write a \
                       pattern without it, or \"*\" among the users";
        section.report.forgotten(&patterns_place, message);
    }
    Some(AccessRule { place, subjects, repositories, rights: actions?.into_iter().collect() })
}

/// A list that has no default.
fn required<T: PartialEq>(
    section: &mut Section<'_, '_>,
    key: &str,
    wanted: &str,
    example: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<T>> {
    if !section.is_written(key) {
        let header = section.header.clone();
        section
            .report
            .forgotten(&header, format!("{}.{key} is missing; write {key} = {example}", section.name));
        return None;
    }
    several(section, key, wanted, parse, |_| false)
}

fn user(name: &str) -> Result<Subject, String> {
    match name {
        "" => Err("it is empty".to_owned()),
        "*" | "anonymous" => Err("it is no single user; write it among the users of [[access]]".to_owned()),
        _ if name.starts_with('@') => Err("a group holds no groups".to_owned()),
        _ if name.contains('*') => Err("the name of a user is no pattern".to_owned()),
        _ if name.contains(char::is_control) => Err("a name holds no control characters".to_owned()),
        _ => Ok(Subject::User(name.to_owned())),
    }
}
