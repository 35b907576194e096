//! What reading the settings has found so far: problems with their places, and files to look at.

use std::path::{Path, PathBuf};

use crate::problem::{Problem, Problems};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At this byte of the file.
    File(usize),
    /// In this variable of the environment.
    Environment(String),
}

/// A file that the settings name and that has to be there.
#[derive(Clone, Debug)]
pub(super) struct NamedFile {
    /// The key that names it, with its section.
    pub(super) key: &'static str,
    pub(super) path: PathBuf,
    pub(super) place: Place,
    /// What to do when it is not there, as a clause.
    pub(super) remedy: String,
}

/// Collects, then puts in the order of the file.
#[derive(Debug)]
pub(super) struct Report {
    file: String,
    text: String,
    truncated: bool,
    problems: Vec<(usize, Problem)>,
    warnings: Vec<Problem>,
    /// In the order in which they were read.
    pub(super) files: Vec<NamedFile>,
}

impl Report {
    pub(super) fn new(path: &Path, text: &str) -> Self {
        Self {
            file: path.display().to_string(),
            text: text.to_owned(),
            truncated: false,
            problems: Vec::new(),
            warnings: Vec::new(),
            files: Vec::new(),
        }
    }

    /// The file as it is named in messages.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// A value that is wrong.
    pub(super) fn wrong(&mut self, place: &Place, message: impl Into<String>) {
        let problem = Problem::new(self.describe(place), message);
        self.push(place, problem);
    }

    /// Text that is no TOML. What stood there is unknown, so nothing counts as forgotten from here on.
    pub(super) fn truncated(&mut self, offset: usize, message: impl Into<String>) {
        self.truncated = true;
        self.wrong(&Place::File(offset), message);
    }

    /// Whether what stood in the file is partly unknown.
    pub(super) fn is_torn(&self) -> bool {
        self.truncated
    }

    /// A value that is not written and has to be.
    pub(super) fn forgotten(&mut self, place: &Place, message: impl Into<String>) {
        if !self.truncated {
            self.wrong(place, message);
        }
    }

    /// A file that is not there.
    pub(super) fn missing(&mut self, place: &Place, message: impl Into<String>) {
        let problem = Problem { missing: true, ..Problem::new(self.describe(place), message) };
        self.push(place, problem);
    }

    /// What is not wrong, but not what was meant either.
    pub(super) fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.warnings.push(Problem::new(self.describe(place), message));
    }

    /// What [`Report::warn`] was told.
    pub(super) fn take_warnings(&mut self) -> Vec<Problem> {
        std::mem::take(&mut self.warnings)
    }

    /// All problems in file order, then those of the environment; `None` if there are none.
    pub(super) fn problems(mut self) -> Option<Problems> {
        self.problems.sort_by_key(|(offset, _)| *offset);
        let problems: Vec<Problem> = self.problems.into_iter().map(|(_, problem)| problem).collect();
        (!problems.is_empty()).then_some(Problems(problems))
    }

    fn push(&mut self, place: &Place, problem: Problem) {
        let order = match place {
            Place::File(offset) => *offset,
            Place::Environment(_) => usize::MAX,
        };
        self.problems.push((order, problem));
    }

    /// The place as messages name it.
    pub(super) fn describe(&self, place: &Place) -> String {
        match place {
            Place::File(offset) => {
                let (line, column) = position(&self.text, *offset);
                format!("{}:{line}:{column}", self.file)
            }
            Place::Environment(variable) => format!("environment: {variable}"),
        }
    }
}

/// Line and column of a byte, both from 1, the column in characters.
pub(super) fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    (line, before[start..].chars().filter(|c| *c != BYTE_ORDER_MARK).count() + 1)
}

const BYTE_ORDER_MARK: char = '\u{feff}';

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
