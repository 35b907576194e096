//! `[groups]` and `[[access]]`: who may do what where.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::file::{several, values};
use super::keys::{ACCESS, GROUPS, nearest};
use super::report::{Place, Report};
use super::section::Section;
use super::settings::{AccessRule, Mention, Subject};
use crate::problem::Problem;
use crate::registry::pattern::Pattern;
use crate::registry::rights::Rights;
use crate::user::{BadName, User};

/// What an entry of `[[access]]` looks like.
pub(super) const EXAMPLE: &str =
    r#"[{ users = ["alice"], repositories = ["team-a/**"], actions = ["pull"] }]"#;

/// The groups by their names.
pub(super) struct Groups(BTreeMap<String, Group>);

struct Group {
    place: Place,
    /// None where the list is wrong.
    users: Vec<Mention>,
    is_used: Cell<bool>,
}

impl Groups {
    fn find(&self, name: &str) -> Result<Vec<Mention>, String> {
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
    if let Some(variable) = section.variables.remove("") {
        let message = "each group has a variable of its own; write TIDEGATE_GROUPS_DEVELOPERS=alice,bob for one called developers";
        section.report.wrong(&Place::Environment(variable.name), message);
    }
    let in_file = section.table.keys().map(|key| key.get_ref().to_string());
    let names: BTreeSet<String> = in_file.chain(section.variables.keys().cloned()).collect();
    let groups = names.into_iter().map(|name| {
        let place = section.place(&name);
        if let Some(bare) = name.strip_prefix('@') {
            let message =
                format!("groups: found the name {name:?}; write {bare:?}, the @ stands in [[access]] alone");
            section.report.wrong(&place, message);
        }
        let bare = name.trim_start_matches('@').to_owned();
        let users = several(section, &name, r#"the name of a user, such as "alice""#, user, |_| false);
        let mention = |(place, user)| Mention {
            place: section.report.describe(&place),
            key: format!("{GROUPS}.{name}"),
            name: user,
            instead: None,
        };
        let users = users.into_iter().flatten().map(mention).collect();
        (bare, Group { place, users, is_used: Cell::new(false) })
    });
    Some(Groups(groups.collect()))
}

/// One entry of `[[access]]`.
///
/// Without `groups`, or behind a syntax error, any group may be meant.
pub(super) fn rule(section: &mut Section<'_, '_>, groups: Option<&Groups>) -> Option<AccessRule> {
    let place = section.report.describe(&section.header);
    let groups = groups.filter(|_| !section.report.is_torn());
    let parse = |text: &str| match (text, text.strip_prefix('@')) {
        ("anonymous", _) => Ok(Written::Everybody(Subject::Anonymous)),
        ("*", _) => Ok(Written::Everybody(Subject::EveryUser)),
        // The name tells two groups of the same users apart.
        (_, Some(name)) => groups
            .map_or(Ok(Vec::new()), |groups| groups.find(name))
            .map(|members| Written::Group(name.to_owned(), members)),
        _ => user(text).map(Written::User),
    };
    let wanted = r#"the name of a user, a group such as "@developers", "*" for every user, or "anonymous" for everybody"#;
    let users = required(section, "users", wanted, r#"["alice"]"#, parse);
    let patterns_place = section.place("repositories");
    let wanted = r#"names in which * is anything within one component and ** any number of components, such as "team-a/**" or "${user}/*""#;
    let repositories =
        values(required(section, "repositories", wanted, r#"["team-a/**"]"#, str::parse::<Pattern>));
    let wanted = r#""pull", "push", "delete", "catalog", or "*" for the first three"#;
    let actions = values(required(section, "actions", wanted, r#"["pull"]"#, |text| match text {
        "*" => Ok(Rights::ALL),
        text => Rights::named(text).ok_or_else(String::new),
    }));

    let (users, repositories) = (users?, repositories?);
    let (mut subjects, mut mentions) = (Vec::new(), Vec::new());
    for (place, written) in users {
        match written {
            Written::Everybody(subject) => subjects.push(subject),
            Written::Group(_, members) => mentions.extend(members),
            Written::User(name) => {
                let instead = groups.and_then(|groups| instead(&name.to_string(), groups));
                let place = section.report.describe(&place);
                mentions.push(Mention { place, key: format!("{ACCESS}.users"), name, instead });
            }
        }
    }
    for mention in &mentions {
        let subject = Subject::User(mention.name.clone());
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
    Some(AccessRule { place, subjects, repositories, rights: actions?.into_iter().collect(), mentions })
}

/// An entry of `access.users`.
#[derive(PartialEq)]
enum Written {
    Everybody(Subject),
    Group(String, Vec<Mention>),
    User(User),
}

/// What else the name of a user may be meant to be.
fn instead(name: &str, groups: &Groups) -> Option<String> {
    if groups.0.contains_key(name) {
        return Some(format!("@{name}"));
    }
    match name.to_lowercase().as_str() {
        "anonymous" | "public" => Some("anonymous".to_owned()),
        // Not "anonymous": nobody should open his registry to the world by a hint.
        "all" | "anyone" | "everybody" | "everyone" => Some("*".to_owned()),
        _ => None,
    }
}

impl Mention {
    /// What to say when nobody in `file` has this name; `users` are those who are.
    pub fn unknown<'u>(&self, file: &Path, users: impl Iterator<Item = &'u str>) -> Problem {
        let Mention { place, key, name, instead } = self;
        let near = instead.as_deref().or_else(|| nearest(name.as_str()?, users));
        let advice = near
            .map_or("nobody can log in by this name".to_owned(), |near| format!("did you mean {near:?}?"));
        Problem::new(place, format!("{key}: {name:?} is not in {}; {advice}", file.display()))
    }
}

/// A list that has no default.
fn required<T: PartialEq>(
    section: &mut Section<'_, '_>,
    key: &str,
    wanted: &str,
    example: &str,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<Vec<(Place, T)>> {
    if !section.is_written(key) {
        let header = section.header.clone();
        section
            .report
            .forgotten(&header, format!("{}.{key} is missing; write {key} = {example}", section.name));
        return None;
    }
    several(section, key, wanted, parse, |_| false)
}

fn user(name: &str) -> Result<User, String> {
    match name {
        "*" | "anonymous" => Err("it is no single user; write it among the users of [[access]]".to_owned()),
        _ if name.starts_with('@') => Err("a group holds no groups".to_owned()),
        _ if name.contains('*') => Err("the name of a user is no pattern".to_owned()),
        _ if name.contains(char::is_control) => Err(BadName::Control.to_string()),
        _ => User::parse(name).map_err(|bad| bad.to_string()),
    }
}
