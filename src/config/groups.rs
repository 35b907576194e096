//! `[groups]`: named sets of users, for `[[access]]`.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::complaint::Complaint;
use super::keys::GROUPS;
use super::mention::{Mention, user};
use super::report::{Location, Report};
use super::section::Section;
use super::words::nearest;

/// The groups by their names.
pub(super) struct Groups(BTreeMap<String, Group>);

struct Group {
    location: Location,
    /// Empty if the list is wrong.
    users: Vec<Mention>,
    is_used: Cell<bool>,
}

impl Groups {
    /// Reads a section whose keys the operator chooses.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Option<Self> {
        if let Some(variable) = section.variables.remove("") {
            let message = "each group has its own variable; for one called developers, write \
                           TIDEGATE_GROUPS_DEVELOPERS=alice,bob";
            section.report.wrong(&Location::Environment(variable.name), message);
        }
        let in_file = section.table.keys().map(|key| key.get_ref().to_string());
        let names: BTreeSet<String> = in_file.chain(section.variables.keys().cloned()).collect();
        Some(Self(names.into_iter().map(|name| Group::read(section, &name)).collect()))
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The users of a group. Marks the group as used.
    pub(super) fn members(&self, name: &str) -> Result<Vec<Mention>, Complaint> {
        if let Some(group) = self.0.get(name) {
            group.is_used.set(true);
            return Ok(group.users.clone());
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
    fn read(section: &mut Section<'_, '_>, name: &str) -> (String, Self) {
        let location = section.location(name);
        if let Some(bare) = name.strip_prefix('@') {
            let message =
                format!("groups: found the name {name:?}; write {bare:?}, the @ is for [[access]] only");
            section.report.wrong(&location, message);
        }
        let wanted = r#"the name of a user, such as "alice""#;
        let users = section.several(name, None, wanted, user, |_| false);
        let mention = |(location, user)| Mention {
            place: section.report.describe(&location),
            key: format!("{GROUPS}.{name}"),
            name: user,
            instead: None,
        };
        let users = users.into_iter().flatten().map(mention).collect();
        (name.trim_start_matches('@').to_owned(), Self { location, users, is_used: Cell::new(false) })
    }
}
