//! `[[access]]`: which users have which rights in which repositories.

use super::complaint::Complaint;
use super::groups::{Groups, Member};
use super::keys::ACCESS;
use super::list::values;
use super::mention::Mention;
use super::print::{Printer, list, quoted};
use super::report::Location;
use super::section::Section;
use super::subject::{Sources, Subject};
use crate::registry::pattern::Pattern;
use crate::registry::rights::Rights;

/// An example of an entry, for messages.
pub(super) const EXAMPLE: &str =
    r#"[{ users = ["alice"], repositories = ["team-a/**"], actions = ["pull"] }]"#;

/// An entry of `[[access]]`, with groups replaced by their members.
#[derive(Clone, Debug)]
pub struct AccessRule {
    /// The location of the rule, as shown in messages: file, line and column.
    pub place: String,
    /// At least one.
    pub subjects: Vec<Subject>,
    /// At least one.
    pub repositories: Vec<Pattern>,
    /// At least one.
    pub rights: Rights,
    /// Where the names of its users are written, including those in its groups.
    pub mentions: Vec<Mention>,
}

/// Rules are equal if they mean the same, wherever they are written.
impl PartialEq for AccessRule {
    fn eq(&self, other: &Self) -> bool {
        let Self { place: _, subjects, repositories, rights, mentions: _ } = self;
        (subjects, repositories, rights) == (&other.subjects, &other.repositories, &other.rights)
    }
}

impl Eq for AccessRule {}

/// An entry of `access.users`.
#[derive(PartialEq)]
enum Written {
    One(Subject),
    /// The name and the members. The name distinguishes groups with the same members.
    Group(String, Vec<Member>),
}

impl AccessRule {
    /// Without `groups` and `sources`, or after a syntax error, every name of one is accepted.
    pub(super) fn read(
        section: &mut Section<'_, '_>,
        groups: Option<&Groups>,
        sources: Option<&Sources>,
    ) -> Option<Self> {
        let place = section.report.describe(&section.header);
        let groups = groups.filter(|_| !section.report.is_truncated());
        let sources = sources.filter(|_| !section.report.is_truncated());
        let parse = |text: &str| match (text, text.strip_prefix('@')) {
            ("anonymous", _) => Ok(Written::One(Subject::Anonymous)),
            ("*", _) => Ok(Written::One(Subject::EveryUser)),
            (_, Some(name)) if !name.contains(':') => groups
                .map_or(Ok(Vec::new()), |groups| groups.members(name))
                .map(|members| Written::Group(name.to_owned(), members)),
            _ => Subject::member(text, sources).map(Written::One),
        };
        let wanted = r#"the name of a user, a group such as "@developers", "*" for every user, or "anonymous" for everybody"#;
        let users = required(section, "users", wanted, r#"["alice"]"#, parse);
        let patterns_location = section.location("repositories");
        let wanted = r#"names in which * is anything within one component and ** any number of components, such as "team-a/**" or "${user}/*""#;
        let parse = str::parse::<Pattern>;
        let repositories = values(required(section, "repositories", wanted, r#"["team-a/**"]"#, parse));
        let wanted = r#""pull", "push", "delete", "catalog", or "*" for the first three"#;
        let actions = values(required(section, "actions", wanted, r#"["pull"]"#, action));

        let (users, repositories) = (users?, repositories?);
        let (subjects, mentions) = resolve(section, users, groups);
        let nobody_has_a_name = subjects.iter().all(|subject| *subject == Subject::Anonymous);
        if nobody_has_a_name && repositories.iter().all(Pattern::names_user) {
            let message = "access.repositories: every pattern contains ${user}, but \"anonymous\" has no \
                           name; write a pattern without it, or \"*\" among the users";
            section.report.forgotten(&patterns_location, message);
        }
        Some(Self { place, subjects, repositories, rights: actions?.into_iter().collect(), mentions })
    }

    /// The file without its folder, and the line.
    pub fn line(&self) -> &str {
        let name = self.place.rsplit('/').next().unwrap_or_default();
        name.rsplit_once(':')
            .filter(|(_, column)| column.parse::<u32>().is_ok())
            .map_or(name, |(line, _)| line)
    }

    /// Prints groups as their members.
    pub(super) fn print(&self, to: &mut Printer<'_>) {
        let Self { place: _, subjects, repositories, rights, mentions: _ } = self;
        to.section(ACCESS);
        to.reloaded("users", list(subjects.iter().map(quoted)));
        to.reloaded("repositories", list(repositories.iter().map(quoted)));
        to.reloaded("actions", list(rights.names().map(quoted)));
    }
}

fn action(text: &str) -> Result<Rights, Complaint> {
    if text == "*" { Ok(Rights::ALL) } else { Rights::named(text).ok_or(Complaint::Shape) }
}

/// A list that has no default.
fn required<T: PartialEq, E: Into<Complaint>>(
    section: &mut Section<'_, '_>,
    key: &str,
    wanted: &str,
    example: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<Vec<(Location, T)>> {
    let is_written = section.is_written(key);
    let list = section.several(key, None, wanted, parse, |_| false);
    if !is_written {
        let header = section.header.clone();
        let message = format!("{}.{key} is missing; write {key} = {example}", section.name);
        section.report.forgotten(&header, message);
    }
    list
}

/// The subjects of `access.users`, each once, and where its users are named.
fn resolve(
    section: &Section<'_, '_>,
    users: Vec<(Location, Written)>,
    groups: Option<&Groups>,
) -> (Vec<Subject>, Vec<Mention>) {
    let (mut subjects, mut mentions) = (Vec::new(), Vec::new());
    for (location, written) in users {
        match written {
            Written::One(Subject::User(name)) => {
                let instead = groups.and_then(|groups| instead(&name.to_string(), groups));
                let place = section.report.describe(&location);
                subjects.push(Subject::User(name.clone()));
                mentions.push(Mention { place, key: format!("{ACCESS}.users"), name, instead });
            }
            Written::One(subject) => subjects.push(subject),
            Written::Group(_, members) => {
                for Member { subject, mention } in members {
                    subjects.push(subject);
                    mentions.extend(mention);
                }
            }
        }
    }
    let mut distinct: Vec<Subject> = Vec::new();
    for subject in subjects {
        if !distinct.contains(&subject) {
            distinct.push(subject);
        }
    }
    (distinct, mentions)
}

/// The entry to suggest instead of a user's name.
fn instead(name: &str, groups: &Groups) -> Option<String> {
    if groups.contains(name) {
        return Some(format!("@{name}"));
    }
    match name.to_lowercase().as_str() {
        "anonymous" | "public" => Some("anonymous".to_owned()),
        // Not "anonymous": a hint should not open a registry to the world.
        "all" | "anyone" | "everybody" | "everyone" => Some("*".to_owned()),
        _ => None,
    }
}
