//! `[groups]`: named sets of users, for `[[access]]`.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::complaint::Complaint;
use super::keys::GROUPS;
use super::mention::Mention;
use super::report::{Location, Report};
use super::section::Section;
use super::subject::{Sources, Subject};
use super::words::nearest;
use crate::user::User;

/// The groups by their names.
pub(super) struct Groups(BTreeMap<String, Group>);

struct Group {
    location: Location,
    /// Empty if the list is wrong.
    members: Vec<Member>,
    is_used: Cell<bool>,
}

/// A member of a group: a user, or all users of a group or an issuer from outside.
#[derive(Clone, PartialEq)]
pub(super) struct Member {
    pub(super) subject: Subject,
    /// Where the name of a user is written.
    pub(super) mention: Option<Mention>,
}

impl Groups {
    /// Reads a section whose keys the operator chooses. Without `sources`, or after a syntax error,
    /// every source of users is accepted.
    pub(super) fn read(section: &mut Section<'_, '_>, sources: Option<&Sources>) -> Option<Self> {
        let sources = sources.filter(|_| !section.report.is_truncated());
        if let Some(variable) = section.variables.remove("") {
            let message = "each group has its own variable; for one called developers, write \
                           TIDEGATE_GROUPS_DEVELOPERS=alice,bob";
            section.report.wrong(&Location::Environment(variable.name), message);
        }
        let in_file = section.table.keys().map(|key| key.get_ref().to_string());
        let names: BTreeSet<String> = in_file.chain(section.variables.keys().cloned()).collect();
        Some(Self(names.into_iter().map(|name| Group::read(section, &name, sources)).collect()))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The members of a group. Marks the group as used.
    pub(super) fn members(&self, name: &str) -> Result<Vec<Member>, Complaint> {
        if let Some(group) = self.0.get(name) {
            group.is_used.set(true);
            return Ok(group.members.clone());
        }
        let advice = match nearest(name, self.0.keys().map(String::as_str)) {
            Some(near) => format!("did you mean {:?}?", format!("@{near}")),
            None => "define it in [groups]".to_owned(),
        };
        Err(format!("there is no group {name:?}; {advice}").into())
    }

    /// Warns of groups that no rule names, which have no effect.
    pub(super) fn warn_of_unused(&self, report: &mut Report) {
        for (name, group) in self.0.iter().filter(|(_, group)| !group.is_used.get()) {
            let message = format!(
                "groups.{name}: no entry of [[access]] uses the group; add \"@{name}\" to the users of one, or remove the group"
            );
            report.warn(&group.location, message);
        }
    }
}

impl Group {
    fn read(section: &mut Section<'_, '_>, name: &str, sources: Option<&Sources>) -> (String, Self) {
        let location = section.location(name);
        if let Some(bare) = name.strip_prefix('@') {
            let message =
                format!("groups: found the name {name:?}; write {bare:?}, the @ is for [[access]] only");
            section.report.wrong(&location, message);
        }
        let wanted = r#"the name of a user, such as "alice""#;
        let members = section.several(name, None, wanted, |text| Subject::member(text, sources), |_| false);
        let member = |(location, subject)| {
            let mention = |user: &User| Mention {
                place: section.report.describe(&location),
                key: format!("{GROUPS}.{name}"),
                name: user.clone(),
                instead: None,
            };
            let mention = if let Subject::User(user) = &subject { Some(mention(user)) } else { None };
            Member { subject, mention }
        };
        let members = members.into_iter().flatten().map(member).collect();
        (name.trim_start_matches('@').to_owned(), Self { location, members, is_used: Cell::new(false) })
    }
}
