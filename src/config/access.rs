//! `[[access]]`: which users have which rights in which repositories.

use super::complaint::Complaint;
use super::groups::Groups;
use super::keys::ACCESS;
use super::list::values;
use super::mention::{Mention, user};
use super::print::{Printer, list, quoted};
use super::report::Location;
use super::section::Section;
use crate::registry::pattern::Pattern;
use crate::registry::rights::Rights;
use crate::user::User;

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

/// The users that a rule applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// `anonymous`: everyone, authenticated or not.
    Anonymous,
    /// `*`: every authenticated user.
    EveryUser,
    User(User),
}

/// An entry of `access.users`.
#[derive(PartialEq)]
enum Written {
    Everybody(Subject),
    /// The name and the members. The name distinguishes groups with the same members.
    Group(String, Vec<Mention>),
    User(User),
}

impl AccessRule {
    /// Without `groups`, or after a syntax error, every group name is accepted.
    pub(super) fn read(section: &mut Section<'_, '_>, groups: Option<&Groups>) -> Option<Self> {
        let place = section.report.describe(&section.header);
        let groups = groups.filter(|_| !section.report.is_truncated());
        let parse = |text: &str| match (text, text.strip_prefix('@')) {
            ("anonymous", _) => Ok(Written::Everybody(Subject::Anonymous)),
            ("*", _) => Ok(Written::Everybody(Subject::EveryUser)),
            (_, Some(name)) => groups
                .map_or(Ok(Vec::new()), |groups| groups.members(name))
                .map(|members| Written::Group(name.to_owned(), members)),
            _ => user(text).map(Written::User),
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
        let users = subjects.iter().map(|subject| match subject {
            Subject::Anonymous => quoted("anonymous"),
            Subject::EveryUser => quoted("*"),
            Subject::User(user) => quoted(user.to_string()),
        });
        to.section(ACCESS);
        to.reloaded("users", list(users));
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
            Written::Everybody(subject) => subjects.push(subject),
            Written::Group(_, members) => mentions.extend(members),
            Written::User(name) => {
                let instead = groups.and_then(|groups| instead(&name.to_string(), groups));
                let place = section.report.describe(&location);
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
    (subjects, mentions)
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
