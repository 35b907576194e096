//! Hands out the sections one by one; what is left at the end is a problem by construction.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::keys;
use super::quote::{describe, quoted};
use super::report::{Place, Report};
use super::section::{Section, unused};

/// The sections that nobody has read yet.
pub(super) struct Document<'r, 'i> {
    table: DeTable<'i>,
    environment: Environment,
    report: &'r mut Report,
}

impl<'r, 'i> Document<'r, 'i> {
    pub(super) fn new(table: DeTable<'i>, environment: &[(String, String)], report: &'r mut Report) -> Self {
        Self { table, environment: Environment::new(environment), report }
    }

    /// Reads one section, which may be absent, and reports what `read` leaves of it. One within another, `a.b`, is
    /// read before the other.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 'i>) -> Option<T>,
    ) -> Option<T> {
        let (header, table) = match self.remove(name) {
            None => (Place::File(0), DeTable::new()),
            Some(value) => {
                let header = Place::File(value.span().start);
                match value.into_inner() {
                    DeValue::Table(table) => (header, table),
                    other => {
                        let found = describe(&other);
                        let help = format!("write [{name}] on a line of its own and the keys below it");
                        self.report.wrong(&header, format!("{name}: found {found}; {help}"));
                        self.environment.take(name);
                        return None;
                    }
                }
            }
        };
        let variables = self.environment.take(name);
        let mut section = Section { name, header, table, variables, report: self.report };
        let value = read(&mut section);
        section.finish();
        value
    }

    /// Reads a section that is a list of tables, `[[name]]`, and may be absent. In the environment it is one variable, in TOML,
    /// such as `example`.
    pub(super) fn entries<T>(
        &mut self,
        name: &'static str,
        example: &str,
        read: impl Fn(&mut Section<'_, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let list = format!("a list of tables in TOML, such as {example}");
        let mut variables = self.environment.take(name);
        let whole = variables.remove("").map(|variable| (name.to_owned(), variable));
        for variable in variables.into_values() {
            let message = format!("[[{name}]] as a whole is TIDEGATE_{}; write {list}", name.to_uppercase());
            self.report.wrong(&Place::Environment(variable.name), message);
        }
        let wanted = match &whole {
            Some(_) => list,
            None => format!("[[{name}]] above the keys of each entry, or {list}"),
        };
        let table = self.table.remove_entry(name).into_iter().collect();
        let header = Place::File(0);
        let mut section =
            Section { name: "", header, table, variables: whole.into_iter().collect(), report: self.report };
        if !section.is_there() {
            return Some(Vec::new());
        }
        let place = section.place(name);
        let entries = section.entries(name, name, &wanted, read)?;
        if entries.is_empty() {
            let message = format!("{name}: found an empty list; write {wanted}, or leave it out");
            section.report.wrong(&place, message);
        }
        Some(entries)
    }

    fn remove(&mut self, name: &str) -> Option<Spanned<DeValue<'i>>> {
        let Some((outer, inner)) = name.split_once('.') else { return self.table.remove(name) };
        match self.table.get_mut(outer)?.get_mut() {
            DeValue::Table(table) => table.remove(inner),
            _ => None,
        }
    }

    /// Reports the sections that nobody read.
    pub(super) fn finish(self) {
        for (key, value) in &self.table {
            let place = Place::File(key.span().start);
            let name = key.get_ref().as_ref();
            let message = match value.get_ref() {
                DeValue::Table(_) => {
                    format!("unknown section [{}]; {}", name.escape_debug(), keys::section_advice(name))
                }
                DeValue::Array(list)
                    if list.iter().any(|entry| matches!(entry.get_ref(), DeValue::Table(_))) =>
                {
                    format!("unknown section [[{}]]; {}", name.escape_debug(), keys::section_advice(name))
                }
                _ => {
                    format!("unknown key {} outside of any section; {}", quoted(name), keys::advice("", name))
                }
            };
            self.report.wrong(&place, message);
        }
        for (section, key, variable) in self.environment.rest() {
            self.report.wrong(&Place::Environment(variable.name), unused(section, &key));
        }
    }
}
