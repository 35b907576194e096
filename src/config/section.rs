//! Takes the keys out of a section one by one; what is left at the end is a problem by construction.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::environment::Variable;
use super::keys::{self, Standing};
use super::quote::{describe, quoted};
use super::report::{Place, Report};
use super::values::{parse_duration, parse_rate, parse_size, print_duration, print_size};
use super::words::{choices, choose};

/// How the environment writes a list in one variable.
#[derive(Clone, Copy, Debug)]
pub(super) enum Separator {
    /// Between addresses, names and the like.
    Comma,
    /// Between expressions, which may hold commas.
    Newline,
}

/// One section while it is read. Each reader returns `None` for a value that is wrong, after reporting
/// it, and for one that is not written and has no default.
pub(super) struct Section<'r, 'i> {
    pub(super) name: &'static str,
    /// Its header, where what is missing is reported.
    pub(super) header: Place,
    pub(super) table: DeTable<'i>,
    pub(super) variables: BTreeMap<String, Variable>,
    pub(super) report: &'r mut Report,
}

/// A value before it is parsed, and where it stands.
struct Field<'i> {
    place: Place,
    written: Written<'i>,
}

enum Written<'i> {
    Toml(DeValue<'i>),
    Text(String),
}

impl<'i> Section<'_, 'i> {
    /// Whether the operator wrote anything of the section.
    pub(super) fn is_there(&self) -> bool {
        !self.table.is_empty() || !self.variables.is_empty()
    }

    /// Whether the operator wrote the key, rightly or wrongly.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.variables.contains_key(key)
    }

    /// Where the key stands, or the header if it does not.
    pub(super) fn place(&self, key: &str) -> Place {
        match (self.variables.get(key), self.table.get(key)) {
            (Some(variable), _) => Place::Environment(variable.name.clone()),
            (None, Some(value)) => self.at(value.span()),
            (None, None) => self.header.clone(),
        }
    }

    /// Leaves the key unread; tells where it stands, if the operator wrote it.
    pub(super) fn drop(&mut self, key: &str) -> Option<Place> {
        let place = self.is_written(key).then(|| self.place(key));
        self.table.remove(key);
        self.variables.remove(key);
        place
    }

    /// A string in a grammar of its own. `wanted` completes "write ..."; `parse` says what is wrong.
    pub(super) fn text<T>(
        &mut self,
        key: &str,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let field = self.take(key)?;
        let parsed = match &field.written {
            Written::Text(text) => parse(text),
            Written::Toml(DeValue::String(text)) => parse(text),
            Written::Toml(_) => Err(String::new()),
        };
        self.judged(key, &field, wanted, parsed)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        self.text(key, &choices(words), |text| choose(words, text).ok_or_else(String::new))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str) -> Option<bool> {
        let field = self.take(key)?;
        let parsed = match &field.written {
            Written::Toml(DeValue::Boolean(flag)) => Ok(*flag),
            Written::Text(text) => text.parse().map_err(|_| String::new()),
            Written::Toml(_) => Err(String::new()),
        };
        self.judged(key, &field, "true or false, without quotes", parsed)
    }

    /// A whole number within a range.
    pub(super) fn number(&mut self, key: &str, range: RangeInclusive<usize>) -> Option<usize> {
        let field = self.take(key)?;
        let number = match &field.written {
            Written::Toml(DeValue::Integer(integer)) => {
                usize::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            Written::Text(text) => text.parse().ok(),
            Written::Toml(_) => None,
        };
        let wanted = format!("a whole number from {} to {}, without quotes", range.start(), range.end());
        self.judged(
            key,
            &field,
            &wanted,
            number.filter(|number| range.contains(number)).ok_or_else(String::new),
        )
    }

    /// A duration within a range.
    pub(super) fn duration(&mut self, key: &str, range: RangeInclusive<Duration>) -> Option<Duration> {
        let (least, most) = (print_duration(*range.start()), print_duration(*range.end()));
        let fits = |text: &&str| parse_duration(text).is_ok_and(|duration| range.contains(&duration));
        let examples: Vec<(&str, ())> =
            ["500ms", "30s", "15m", "2h"].into_iter().filter(fits).map(|text| (text, ())).collect();
        let wanted = format!(r#"a duration from "{least}" to "{most}", such as {}"#, choices(&examples));
        self.text(key, &wanted, |text| {
            let duration = parse_duration(text)?;
            if range.contains(&duration) { Ok(duration) } else { Err("it is out of range".to_owned()) }
        })
    }

    /// A number of bytes within a range; a bare number may stand without quotes.
    pub(super) fn size(&mut self, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let field = self.take(key)?;
        let parsed = match &field.written {
            Written::Text(text) => parse_size(text),
            Written::Toml(DeValue::String(text)) => parse_size(text),
            Written::Toml(DeValue::Integer(integer)) => {
                u64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| String::new())
            }
            Written::Toml(_) => Err(String::new()),
        };
        let (least, most) = (print_size(*range.start()), print_size(*range.end()));
        let wanted = format!(r#"a size from "{least}" to "{most}", such as "65536", "16KiB" or "1MB""#);
        let parsed = parsed.and_then(|size| {
            if range.contains(&size) { Ok(size) } else { Err("it is out of range".to_owned()) }
        });
        self.judged(key, &field, &wanted, parsed)
    }

    /// A number of bytes per second, up to `most`.
    pub(super) fn rate(&mut self, key: &str, most: u64) -> Option<u64> {
        let wanted = format!(r#"a rate up to "{}/s", such as "500B/s" or "64KiB/s""#, print_size(most));
        self.text(key, &wanted, |text| {
            let rate = parse_rate(text)?;
            if rate <= most { Ok(rate) } else { Err("it is out of range".to_owned()) }
        })
    }

    /// A list of strings, each in the same grammar, with the place of each.
    pub(super) fn list<T>(
        &mut self,
        key: &str,
        separator: Separator,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<(Place, T)>> {
        let field = self.take(key)?;
        let fields: Vec<Field<'_>> = match field.written {
            Written::Text(text) => separate(&text, separator)
                .map(|item| Field { place: field.place.clone(), written: Written::Text(item.to_owned()) })
                .collect(),
            Written::Toml(DeValue::Array(array)) => array
                .into_iter()
                .map(|item| Field { place: self.at(item.span()), written: Written::Toml(item.into_inner()) })
                .collect(),
            Written::Toml(DeValue::String(ref text)) => {
                let items: Vec<&str> = separate(text, separator).collect();
                let is_sound = !items.is_empty() && items.iter().all(|item| parse(item).is_ok());
                let listed: Vec<String> = items.into_iter().map(quoted).collect();
                let wanted = if is_sound { listed.join(", ") } else { wanted.to_owned() };
                return self.judged(key, &field, &format!("a list: [{wanted}]"), Err(String::new()));
            }
            Written::Toml(_) => {
                return self.judged(key, &field, &format!("a list: [{wanted}]"), Err(String::new()));
            }
        };
        // All of them are judged before the first wrong one ends it.
        let items: Vec<Option<(Place, T)>> = fields
            .into_iter()
            .map(|item| {
                let parsed = match &item.written {
                    Written::Text(text) => parse(text),
                    Written::Toml(DeValue::String(text)) => parse(text),
                    Written::Toml(_) => Err(String::new()),
                };
                self.judged(key, &item, wanted, parsed).map(|value| (item.place, value))
            })
            .collect();
        items.into_iter().collect()
    }

    /// A list of inline tables with keys of their own, named `entry` in messages. The environment writes
    /// it as TOML.
    pub(super) fn entries<T>(
        &mut self,
        key: &str,
        entry: &'static str,
        wanted: &str,
        read: impl Fn(&mut Section<'_, '_>) -> Option<T>,
    ) -> Option<Vec<T>> {
        let field = self.take(key)?;
        let text;
        let (place, value) = match field.written {
            Written::Toml(value) => (field.place, value),
            Written::Text(written) => {
                text = written;
                match DeValue::parse(&text) {
                    Ok(value) => (field.place, value.into_inner()),
                    Err(_) => {
                        self.complain(key, &field.place, &quoted(&text), "", wanted);
                        return None;
                    }
                }
            }
        };
        let DeValue::Array(array) = value else {
            self.complain(key, &place, &describe(&value), "", wanted);
            return None;
        };
        let entries: Vec<Option<T>> = array
            .into_iter()
            .map(|item| {
                let header =
                    if matches!(place, Place::Environment(_)) { place.clone() } else { self.at(item.span()) };
                let DeValue::Table(table) = item.into_inner() else {
                    self.complain(key, &header, "an entry that is no table", "", wanted);
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

    /// Reports what nobody took.
    pub(super) fn finish(self) {
        for (key, _) in &self.table {
            let place = self.at(key.span());
            self.report.wrong(&place, unused(self.name, key.get_ref()));
        }
        for (key, variable) in &self.variables {
            self.report.wrong(&Place::Environment(variable.name.clone()), unused(self.name, key));
        }
    }

    /// The variable if there is one, else what the file says, else the default.
    fn take(&mut self, key: &str) -> Option<Field<'i>> {
        let in_file = self.table.remove(key);
        if let Some(variable) = self.variables.remove(key) {
            let place = Place::Environment(variable.name);
            return Some(Field { place, written: Written::Text(variable.value) });
        }
        if let Some(value) = in_file {
            return Some(Field { place: self.at(value.span()), written: Written::Toml(value.into_inner()) });
        }
        let Some(Standing::Default(default)) = keys::find(self.name, key) else {
            return None;
        };
        let value = DeValue::parse(default).map(Spanned::into_inner);
        let written = value.map_or_else(|_| Written::Text(default.to_owned()), Written::Toml);
        Some(Field { place: self.header.clone(), written })
    }

    fn at(&self, span: Range<usize>) -> Place {
        match &self.header {
            Place::File(_) => Place::File(span.start),
            Place::Environment(variable) => Place::Environment(variable.clone()),
        }
    }

    fn judged<T>(
        &mut self,
        key: &str,
        field: &Field<'_>,
        wanted: &str,
        parsed: Result<T, String>,
    ) -> Option<T> {
        parsed
            .map_err(|complaint| {
                let found = match &field.written {
                    Written::Toml(value) => describe(value),
                    Written::Text(text) => quoted(text),
                };
                self.complain(key, &field.place, &found, &complaint, wanted);
            })
            .ok()
    }

    fn complain(&mut self, key: &str, place: &Place, found: &str, complaint: &str, wanted: &str) {
        let because = if complaint.is_empty() { String::new() } else { format!(" ({complaint})") };
        // Outside of any section the key is the section.
        let section = if self.name.is_empty() { String::new() } else { format!("{}.", self.name) };
        self.report.wrong(place, format!("{section}{key}: found {found}{because}; write {wanted}"));
    }
}

/// The message for a key that no part of this version takes.
pub(super) fn unused(section: &str, key: &str) -> String {
    if keys::find(section, key).is_some() {
        format!("tidegate knows {section}.{key}, but it does not work in this version: remove it")
    } else {
        let header = keys::header(section);
        format!("unknown key {} in {header}; {}", quoted(key), keys::advice(section, key))
    }
}

fn separate(text: &str, separator: Separator) -> impl Iterator<Item = &str> {
    let separator = match separator {
        Separator::Comma => ',',
        Separator::Newline => '\n',
    };
    text.split(separator).map(str::trim).filter(|item| !item.is_empty())
}
