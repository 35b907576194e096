//! Reads lists: of strings, and of tables.

use std::collections::BTreeMap;

use toml::de::DeValue;

use super::complaint::Complaint;
use super::quote::{describe, quoted};
use super::report::Location;
use super::section::{Field, Section, Written};

/// How the environment writes a list in one variable.
#[derive(Clone, Copy, Debug)]
pub(super) enum Separator {
    /// A comma, between addresses, names and the like.
    Comma,
    /// A line break, between expressions, which may contain commas.
    Newline,
}

impl Section<'_, '_> {
    /// A list of strings, all parsed by `parse`, each with its location.
    pub(super) fn list<T, E: Into<Complaint>>(
        &mut self,
        key: &str,
        default: impl Into<Option<&'static str>>,
        separator: Separator,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<Vec<(Location, T)>> {
        let field = self.take(key, default)?;
        let fields: Vec<Field<'_>> = match field.written {
            Written::Text(text) => separate(&text, separator)
                .map(|item| Field {
                    location: field.location.clone(),
                    written: Written::Text(item.to_owned()),
                })
                .collect(),
            Written::Toml(DeValue::Array(array)) => array
                .into_iter()
                .map(|item| Field {
                    location: self.at(item.span()),
                    written: Written::Toml(item.into_inner()),
                })
                .collect(),
            Written::Toml(ref other) => {
                let wanted = as_list(other, separator, &parse).unwrap_or_else(|| wanted.to_owned());
                return self.judged(key, &field, &format!("a list: [{wanted}]"), Err(Complaint::Shape));
            }
        };
        // All items are parsed first, so that every wrong one is reported.
        let items: Vec<Option<(Location, T)>> = fields
            .into_iter()
            .map(|item| {
                let parsed = item.written.parsed(&parse);
                self.judged(key, &item, wanted, parsed).map(|value| (item.location, value))
            })
            .collect();
        items.into_iter().collect()
    }

    /// A list with no value twice, except for those that may repeat.
    pub(super) fn distinct<T: PartialEq, E: Into<Complaint>>(
        &mut self,
        key: &str,
        default: impl Into<Option<&'static str>>,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        may_repeat: impl Fn(&T) -> bool,
    ) -> Option<Vec<(Location, T)>> {
        let list = self.list(key, default, Separator::Comma, wanted, parse)?;
        let again = list.iter().enumerate().find(|(index, (_, value))| {
            !may_repeat(value) && list.iter().take(*index).any(|(_, earlier)| earlier == value)
        });
        if let Some((_, (location, _))) = again {
            let message = format!("{}: this is already in the list; remove it", self.full_name(key));
            self.report.wrong(location, message);
            return None;
        }
        Some(list)
    }

    /// Like [`Section::distinct`], with at least one value.
    pub(super) fn several<T: PartialEq, E: Into<Complaint>>(
        &mut self,
        key: &str,
        default: impl Into<Option<&'static str>>,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
        may_repeat: impl Fn(&T) -> bool,
    ) -> Option<Vec<(Location, T)>> {
        let location = self.location(key);
        let list = self.distinct(key, default, wanted, parse, may_repeat)?;
        if list.is_empty() {
            self.complain(key, &location, "an empty list", &Complaint::Shape, wanted);
            return None;
        }
        Some(list)
    }

    /// A list of tables, which messages call `entry`. `read` reads one table. In the environment
    /// the list is written in TOML.
    pub(super) fn entries<T>(
        &mut self,
        key: &str,
        default: impl Into<Option<&'static str>>,
        entry: &'static str,
        wanted: &str,
        read: impl Fn(&mut Section<'_, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        Section::know_all(entry, self.report, &read);
        let field = self.take(key, default)?;
        let text;
        let (location, value) = match field.written {
            Written::Toml(value) => (field.location, value),
            Written::Text(written) => {
                text = written;
                match DeValue::parse(&text) {
                    Ok(value) => (field.location, value.into_inner()),
                    Err(_) => {
                        self.complain(key, &field.location, &quoted(&text), &Complaint::Shape, wanted);
                        return None;
                    }
                }
            }
        };
        let DeValue::Array(array) = value else {
            self.complain(key, &location, &describe(&value), &Complaint::Shape, wanted);
            return None;
        };
        let entries: Vec<Option<T>> = array
            .into_iter()
            .map(|item| {
                let header = match &location {
                    Location::Environment(_) => location.clone(),
                    Location::File(_) => self.at(item.span()),
                };
                let DeValue::Table(table) = item.into_inner() else {
                    let found = "an entry that is not a table";
                    self.complain(key, &header, found, &Complaint::Shape, wanted);
                    return None;
                };
                let variables = BTreeMap::new();
                let mut section =
                    Section { name: entry, header, table, variables, report: &mut *self.report };
                let value = read(&mut section);
                section.finish();
                value
            })
            .collect();
        entries.into_iter().collect()
    }
}

/// The values of a list without their locations.
pub(super) fn values<T>(list: Option<Vec<(Location, T)>>) -> Option<Vec<T>> {
    list.map(|list| list.into_iter().map(|(_, value)| value).collect())
}

/// The items of a list that was written as one string, if all of them are valid.
fn as_list<T, E>(
    value: &DeValue<'_>,
    separator: Separator,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Option<String> {
    let DeValue::String(text) = value else { return None };
    let items: Vec<&str> = separate(text, separator).collect();
    let is_valid = !items.is_empty() && items.iter().all(|item| parse(item).is_ok());
    is_valid.then(|| items.into_iter().map(quoted).collect::<Vec<_>>().join(", "))
}

fn separate(text: &str, separator: Separator) -> impl Iterator<Item = &str> {
    let separator = match separator {
        Separator::Comma => ',',
        Separator::Newline => '\n',
    };
    text.split(separator).map(str::trim).filter(|item| !item.is_empty())
}
