//! The findings while settings are read: problems with their locations, the known keys, and the
//! files that have to exist.

use std::path::{Path, PathBuf};

use super::keys::Keys;
use crate::problem::{Problem, Problems};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Where a value is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// At this byte of the file.
    File(usize),
    /// In this variable of the environment.
    Environment(String),
}

/// A file that the settings name and that has to exist.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    /// The key that names it, with its section.
    pub(super) key: String,
    pub(super) path: PathBuf,
    pub(super) location: Location,
    /// What to do if the file does not exist, as a clause.
    pub(super) remedy: String,
}

/// Collects problems, then puts them in the order of the file.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    text: String,
    truncated: bool,
    /// Each with its byte in the file, or `usize::MAX` if it is not in the file.
    findings: Vec<(usize, Finding)>,
    warnings: Vec<Problem>,
    /// Every key that a reader has asked for.
    pub(super) keys: Keys,
    /// The files in the order in which they were read.
    pub(super) files: Vec<NamedFile>,
    /// The files that are written, and need not exist.
    pub(super) outputs: Vec<NamedFile>,
}

#[derive(Debug)]
enum Finding {
    Problem(Problem),
    /// A key that no reader has taken. Advice on it needs the keys of all sections.
    UnknownKey {
        place: String,
        section: &'static str,
        key: String,
    },
}

impl Report {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            truncated: false,
            findings: Vec::new(),
            warnings: Vec::new(),
            keys: Keys::default(),
            files: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// The folder that relative paths start from: that of the file.
    pub(super) fn base(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// A value that is wrong.
    pub(super) fn wrong(&mut self, location: &Location, message: impl Into<String>) {
        let problem = Problem::new(self.describe(location), message);
        self.push(location, Finding::Problem(problem));
    }

    /// A key that no reader has taken.
    pub(super) fn unknown(&mut self, location: &Location, section: &'static str, key: &str) {
        let place = self.describe(location);
        self.push(location, Finding::UnknownKey { place, section, key: key.to_owned() });
    }

    /// A syntax error. The lost text may have held any key, so missing keys are not reported from
    /// here on.
    pub(super) fn truncated(&mut self, offset: usize, message: impl Into<String>) {
        self.truncated = true;
        self.wrong(&Location::File(offset), message);
    }

    /// Whether a syntax error has hidden a part of the file.
    pub(super) fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// A value that is required but not written.
    pub(super) fn forgotten(&mut self, location: &Location, message: impl Into<String>) {
        if !self.truncated {
            self.wrong(location, message);
        }
    }

    /// A file that does not exist.
    pub(super) fn missing(&mut self, location: &Location, message: impl Into<String>) {
        let problem = Problem { missing: true, ..Problem::new(self.describe(location), message) };
        self.push(location, Finding::Problem(problem));
    }

    /// A setting that is valid but probably a mistake.
    pub(super) fn warn(&mut self, location: &Location, message: impl Into<String>) {
        self.warnings.push(Problem::new(self.describe(location), message));
    }

    /// Returns the value and all warnings if nothing is wrong. Otherwise returns all problems:
    /// those of the file in its order, then those of the environment.
    pub(super) fn finish<T>(mut self, value: Option<T>) -> Result<(T, Vec<Problem>), Problems> {
        self.findings.sort_by_key(|(order, _)| *order);
        let explain = |(_, finding)| match finding {
            Finding::Problem(problem) => problem,
            Finding::UnknownKey { place, section, key } => {
                Problem::new(place, self.keys.unknown(section, &key))
            }
        };
        let problems: Vec<Problem> = self.findings.into_iter().map(explain).collect();
        match value {
            _ if !problems.is_empty() => Err(Problems(problems)),
            Some(value) => Ok((value, self.warnings)),
            // Not reached: a reader that returns no value has reported a problem.
            None => Err(Problem::at(&self.path, "the settings are incomplete").into()),
        }
    }

    fn push(&mut self, location: &Location, finding: Finding) {
        let order = match location {
            Location::File(offset) => *offset,
            Location::Environment(_) => usize::MAX,
        };
        self.findings.push((order, finding));
    }

    /// The location as shown in messages.
    pub(super) fn describe(&self, location: &Location) -> String {
        match location {
            Location::File(offset) => {
                let (line, column) = position(&self.text, *offset);
                format!("{}:{line}:{column}", self.path.display())
            }
            Location::Environment(variable) => format!("environment: {}", variable.escape_debug()),
        }
    }
}

/// The line and column of a byte, both counted from 1, the column in characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[start..].chars().filter(|c| *c != BYTE_ORDER_MARK).count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_characters() {
        let text = "a\nüö = 1\r\nb";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 1), (1, 2));
        assert_eq!(position(text, text.find('=').unwrap()), (2, 4));
        assert_eq!(position(text, text.len()), (3, 2));
        assert_eq!(position("\u{feff}x", 3), (1, 1));
    }
}
