//! Hands out the sections one by one and reports every section that is left at the end.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Environment;
use super::keys::{self, in_capitals};
use super::quote::{describe, quoted};
use super::report::{Location, Report};
use super::section::Section;

/// The sections that have not been read yet.
pub(super) struct Document<'r, 'i> {
    table: DeTable<'i>,
    environment: Environment,
    report: &'r mut Report,
}

impl<'r, 'i> Document<'r, 'i> {
    pub(super) fn new(table: DeTable<'i>, environment: &[(String, String)], report: &'r mut Report) -> Self {
        Self { table, environment: Environment::new(environment), report }
    }

    /// Reads one section, which may be absent, and reports the keys that `read` has not taken. A
    /// section within another, `a.b`, has to be read before `a`.
    pub(super) fn section<T>(
        &mut self,
        name: &'static str,
        read: impl FnOnce(&mut Section<'_, 'i>) -> Option<T>,
    ) -> Option<T> {
        let variables = self.environment.take(name);
        let value = self.remove(name);
        let header = Location::File(value.as_ref().map_or(0, |value| value.span().start));
        let table = match value.map(Spanned::into_inner) {
            None => DeTable::new(),
            Some(DeValue::Table(table)) => table,
            Some(other) => {
                self.report.wrong(&header, not_a_section(name, &other));
                Section::know_all(name, self.report, read);
                return None;
            }
        };
        let mut section = Section { name, header, table, variables, report: self.report };
        let value = read(&mut section);
        section.finish();
        value
    }

    /// Reads a section that is a list of tables, `[[name]]`, and may be absent. In the environment
    /// the section is one variable in TOML, such as `example`. A list within another section has to
    /// be read before that.
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
            let message =
                format!("all of [[{name}]] is one variable, TIDEGATE_{}; write {list}", in_capitals(name));
            self.report.wrong(&Location::Environment(variable.name), message);
        }
        let wanted = match &whole {
            Some(_) => list,
            None => format!("[[{name}]] above the keys of each entry, or {list}"),
        };
        let written = self.remove(name).map(|value| (Spanned::new(value.span(), name.into()), value));
        let table = written.into_iter().collect();
        let header = Location::File(0);
        let mut section =
            Section { name: "", header, table, variables: whole.into_iter().collect(), report: self.report };
        if !section.is_there() {
            Section::know_all(name, section.report, read);
            return Some(Vec::new());
        }
        let location = section.location(name);
        let entries = section.entries(name, None, name, &wanted, read)?;
        if entries.is_empty() {
            let message = format!("{name}: found an empty list; write {wanted}, or leave it out");
            section.report.wrong(&location, message);
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

    /// Reports the sections that no reader has taken.
    pub(super) fn finish(mut self) {
        self.report.keys.sort();
        for (key, value) in &self.table {
            let location = Location::File(key.span().start);
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
                    let advice = self.report.keys.advice("", name);
                    format!("unknown key {} outside of any section; {advice}", quoted(name))
                }
            };
            self.report.wrong(&location, message);
        }
        for (rest, variable) in self.environment.strays() {
            let location = Location::Environment(variable);
            match self.report.keys.variable(&rest) {
                Some(message) => self.report.wrong(&location, message),
                None => self.report.warn(&location, NOT_A_SETTING),
            }
        }
        for variable in self.environment.similar() {
            if let Some(message) = self.report.keys.misspelt_variable(&variable) {
                self.report.wrong(&Location::Environment(variable), message);
            }
        }
        for (section, key, variable) in self.environment.rest() {
            self.report.unknown(&Location::Environment(variable.name), section, &key);
        }
    }
}

const NOT_A_SETTING: &str = "this is not a setting, and has no effect; settings are TIDEGATE_<SECTION>_<KEY>";

/// The message about a value that stands where a section should be.
fn not_a_section(name: &str, value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(list) if list.iter().any(|entry| matches!(entry.get_ref(), DeValue::Table(_))) => {
            let why = if name == "upstream" && list.len() > 1 {
                "several servers of one registry belong into upstream.servers, other registries into [[route]]"
            } else {
                "this section is not a list"
            };
            format!("[[{name}]]: {why}; write [{name}], once")
        }
        value => {
            let help = format!("write [{name}] on a line by itself and the keys below it");
            format!("{name}: found {}; {help}", describe(value))
        }
    }
}
