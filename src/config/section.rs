//! Takes the keys out of a section one by one and reports every key that is left at the end.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::complaint::Complaint;
use super::environment::Variable;
use super::keys::Standing;
use super::quote::{describe, quoted, shown};
use super::report::{Location, Report};
use super::spelling;
use super::values::{parse_duration, parse_rate, parse_size, print_duration, print_size};
use super::words::{Words, choices, choose};

/// One section while it is read.
///
/// Each reader takes the name of a key and its default, a TOML text that is read if the key is not
/// written. Reading a key makes it known. A reader returns `None` for a wrong value, which it
/// reports, and for a key that is neither written nor has a default.
pub(super) struct Section<'r, 'i> {
    pub(super) name: &'static str,
    /// The location of its header, where missing keys are reported.
    pub(super) header: Location,
    pub(super) table: DeTable<'i>,
    pub(super) variables: BTreeMap<String, Variable>,
    pub(super) report: &'r mut Report,
}

/// A value before it is parsed, and its location.
pub(super) struct Field<'i> {
    pub(super) location: Location,
    pub(super) written: Written<'i>,
}

pub(super) enum Written<'i> {
    Toml(DeValue<'i>),
    Text(String),
}

impl Written<'_> {
    fn text(&self) -> Option<&str> {
        match self {
            Self::Toml(DeValue::String(text)) => Some(text),
            Self::Text(text) => Some(text),
            Self::Toml(_) => None,
        }
    }

    /// A string or a number as it is written; else empty.
    fn plain(&self) -> String {
        match self {
            Self::Toml(DeValue::Integer(number)) => number.to_string(),
            Self::Toml(DeValue::Float(number)) => number.to_string(),
            written => written.text().unwrap_or_default().to_owned(),
        }
    }

    /// The string of a list of one string.
    fn only_item(&self) -> Option<&str> {
        let Self::Toml(DeValue::Array(list)) = self else { return None };
        match list.iter().collect::<Vec<_>>().as_slice() {
            [item] => item.get_ref().as_str(),
            _ => None,
        }
    }

    /// Parses a quantity, which has a unit and therefore quotes.
    fn quantity<T>(&self, parse: impl Fn(&str) -> Result<T, Complaint>) -> Result<T, Complaint> {
        match self {
            Self::Toml(DeValue::Integer(_) | DeValue::Float(_)) => Err("the unit is missing".into()),
            written => written.parsed(parse),
        }
    }

    /// Parses a string with `parse`.
    pub(super) fn parsed<T, E: Into<Complaint>>(
        &self,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, Complaint> {
        parse(self.text().ok_or(Complaint::Shape)?).map_err(Into::into)
    }
}

impl<'i> Section<'_, 'i> {
    /// Whether any key of the section is written.
    pub(super) fn is_there(&self) -> bool {
        !self.table.is_empty() || !self.variables.is_empty()
    }

    /// Whether the key is written, correctly or not.
    pub(super) fn is_written(&self, key: &str) -> bool {
        self.table.contains_key(key) || self.variables.contains_key(key)
    }

    /// The location of the key, or the header if it is not written.
    pub(super) fn location(&self, key: &str) -> Location {
        match (self.variables.get(key), self.table.get(key)) {
            (Some(variable), _) => Location::Environment(variable.name.clone()),
            (None, Some(value)) => self.at(value.span()),
            (None, None) => self.header.clone(),
        }
    }

    /// Makes a key known that is read only in some cases and has no default.
    pub(super) fn know(&mut self, key: &str) {
        self.report.keys.add(self.name, key, Standing::Required);
    }

    /// Makes all keys known that `read` asks for, by reading an empty section aside.
    pub(super) fn know_all<T>(
        name: &'static str,
        report: &mut Report,
        read: impl FnOnce(&mut Section<'_, 'i>) -> Option<T>,
    ) {
        let mut aside = Report::new(Path::new(""), "");
        let (table, variables) = (DeTable::new(), BTreeMap::new());
        read(&mut Section { name, header: Location::File(0), table, variables, report: &mut aside });
        report.keys.extend(aside.keys);
    }

    /// Removes a key without reading it. Returns its location if it is written.
    pub(super) fn drop(&mut self, key: &str) -> Option<Location> {
        self.know(key);
        let location = self.is_written(key).then(|| self.location(key));
        self.table.remove(key);
        self.variables.remove(key);
        location
    }

    /// A string. `wanted` completes "write ..."; the error of `parse` says what is wrong.
    pub(super) fn text<T, E: Into<Complaint>>(
        &mut self,
        key: &str,
        default: impl Into<Option<&'static str>>,
        wanted: &str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        let field = self.take(key, default)?;
        let parsed = field.written.parsed(&parse);
        match field.written.only_item().filter(|item| parse(item).is_ok()) {
            Some(item) => self.judged(key, &field, &format!("{}, without brackets", quoted(item)), parsed),
            None => self.judged(key, &field, wanted, parsed),
        }
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&mut self, key: &str, default: &'static str, words: Words<T>) -> Option<T> {
        self.text(key, default, &choices(words), |text| choose(words, text).ok_or(Complaint::Shape))
    }

    /// `true` or `false`.
    pub(super) fn flag(&mut self, key: &str, default: &'static str) -> Option<bool> {
        let field = self.take(key, default)?;
        let flag = match &field.written {
            Written::Toml(DeValue::Boolean(flag)) => Some(*flag),
            Written::Text(text) => text.parse().ok(),
            Written::Toml(_) => None,
        };
        self.judged(key, &field, "true or false, without quotes", flag.ok_or(Complaint::Shape))
    }

    /// A whole number within a range.
    pub(super) fn number(
        &mut self,
        key: &str,
        default: &'static str,
        range: RangeInclusive<usize>,
    ) -> Option<usize> {
        let field = self.take(key, default)?;
        let number = match &field.written {
            Written::Toml(DeValue::Integer(integer)) => {
                usize::from_str_radix(integer.as_str(), integer.radix()).ok()
            }
            Written::Text(text) => text.parse().ok(),
            Written::Toml(_) => None,
        };
        let number = number.filter(|number| range.contains(number)).ok_or(Complaint::Shape);
        let wanted = format!("a whole number from {} to {}, without quotes", range.start(), range.end());
        self.judged(key, &field, &wanted, number)
    }

    /// A duration within a range.
    pub(super) fn duration(
        &mut self,
        key: &str,
        default: &'static str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let field = self.take(key, default)?;
        let parse = |text: &str| within(parse_duration(text)?, &range);
        let parsed = field.written.quantity(parse);
        let (least, most) = (print_duration(*range.start()), print_duration(*range.end()));
        let wanted = format!(r#"duration from "{least}" to "{most}""#);
        let meant = spelling::durations(&field.written.plain()).into_iter().find(|text| parse(text).is_ok());
        let wanted = instead(meant, &wanted, || {
            let fits = |text: &&str| parse(text).is_ok();
            let examples = ["500ms", "30s", "15m", "2h"].into_iter().filter(fits).map(|text| (text, ()));
            choices(&examples.collect::<Vec<_>>())
        });
        self.judged(key, &field, &wanted, parsed)
    }

    /// A number of bytes within a range. A bare number needs no quotes.
    pub(super) fn size(
        &mut self,
        key: &str,
        default: &'static str,
        range: RangeInclusive<u64>,
    ) -> Option<u64> {
        let field = self.take(key, default)?;
        let parse = |text: &str| within(parse_size(text)?, &range);
        let parsed = match &field.written {
            Written::Toml(DeValue::Integer(integer)) => {
                u64::from_str_radix(integer.as_str(), integer.radix()).map_err(|_| Complaint::Shape)
            }
            written => written.parsed(parse_size),
        };
        let (least, most) = (print_size(*range.start()), print_size(*range.end()));
        let wanted = format!(r#"size from "{least}" to "{most}""#);
        let meant = spelling::size(&field.written.plain()).filter(|text| parse(text).is_ok());
        let wanted = instead(meant, &wanted, || r#""65536", "16KiB" or "1MB""#.to_owned());
        self.judged(key, &field, &wanted, parsed.and_then(|size| within(size, &range)))
    }

    /// A number of bytes per second, up to `most`.
    pub(super) fn rate(&mut self, key: &str, default: &'static str, most: u64) -> Option<u64> {
        let field = self.take(key, default)?;
        let parse = |text: &str| within(parse_rate(text)?, &(0..=most));
        let parsed = field.written.quantity(parse);
        let wanted = format!(r#"rate up to "{}/s""#, print_size(most));
        let meant = spelling::rate(&field.written.plain()).filter(|text| parse(text).is_ok());
        let wanted = instead(meant, &wanted, || r#""500B/s" or "64KiB/s""#.to_owned());
        self.judged(key, &field, &wanted, parsed)
    }

    /// Reports the keys that no reader has taken.
    pub(super) fn finish(self) {
        for (key, _) in &self.table {
            let location = self.at(key.span());
            self.report.unknown(&location, self.name, key.get_ref());
        }
        for (key, variable) in &self.variables {
            self.report.unknown(&Location::Environment(variable.name.clone()), self.name, key);
        }
    }

    /// Takes the variable if there is one, else the value in the file, else the default.
    pub(super) fn take(&mut self, key: &str, default: impl Into<Option<&'static str>>) -> Option<Field<'i>> {
        let default = default.into();
        self.report.keys.add(self.name, key, default.map_or(Standing::Required, Standing::Default));
        let in_file = self.table.remove(key);
        if let Some(variable) = self.variables.remove(key) {
            let location = Location::Environment(variable.name);
            return Some(Field { location, written: Written::Text(variable.value) });
        }
        if let Some(value) = in_file {
            let location = self.at(value.span());
            return Some(Field { location, written: Written::Toml(value.into_inner()) });
        }
        let default = default?;
        let value = DeValue::parse(default).map(Spanned::into_inner);
        let written = value.map_or_else(|_| Written::Text(default.to_owned()), Written::Toml);
        Some(Field { location: self.header.clone(), written })
    }

    pub(super) fn at(&self, span: Range<usize>) -> Location {
        match &self.header {
            Location::File(_) => Location::File(span.start),
            Location::Environment(variable) => Location::Environment(variable.clone()),
        }
    }

    /// The value, or `None` after reporting the complaint.
    pub(super) fn judged<T>(
        &mut self,
        key: &str,
        field: &Field<'_>,
        wanted: &str,
        parsed: Result<T, Complaint>,
    ) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(complaint) => {
                let (found, complaint) = match &field.written {
                    Written::Toml(value) => (describe(value), complaint),
                    Written::Text(text) if is_toml(text) => (shown(text), UNQUOTED.into()),
                    Written::Text(text) => (quoted(text), complaint),
                };
                self.complain(key, &field.location, &found, &complaint, wanted);
                None
            }
        }
    }

    pub(super) fn complain(
        &mut self,
        key: &str,
        location: &Location,
        found: &str,
        complaint: &Complaint,
        wanted: &str,
    ) {
        let because = match complaint {
            Complaint::Shape => String::new(),
            Complaint::Because(reason) => format!(" ({reason})"),
        };
        let message = format!("{}: found {found}{because}; write {wanted}", self.full_name(key));
        self.report.wrong(location, message);
    }

    /// The key with its section. Outside of any section the key is the section.
    pub(super) fn full_name(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// Completes "write ...": with what was probably meant, else with examples.
fn instead(meant: Option<String>, wanted: &str, examples: impl Fn() -> String) -> String {
    match meant {
        Some(meant) => format!("{meant:?}, or another {wanted}"),
        None => format!("a {wanted}, such as {}", examples()),
    }
}

const UNQUOTED: &str = "in the environment, text has no quotes, and a list has commas but no brackets";

/// Whether the text of a variable is a string or a list of strings as TOML and shells write them.
fn is_toml(text: &str) -> bool {
    let quotes = ['"', '\''];
    text.trim_start_matches('[').trim_start().starts_with(quotes)
        || text.trim_end_matches(']').trim_end().ends_with(quotes)
}

fn within<T: PartialOrd>(value: T, range: &RangeInclusive<T>) -> Result<T, Complaint> {
    if range.contains(&value) { Ok(value) } else { Err("it is out of range".into()) }
}
