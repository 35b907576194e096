//! Problems with the settings and the files they name, in words for the operator.

use std::fmt;
use std::path::Path;

/// `EX_NOINPUT` of sysexits: a file does not exist.
const FILE_MISSING: u8 = 66;
/// `EX_CONFIG` of sysexits: a file exists and is wrong.
pub(crate) const CONFIGURATION: u8 = 78;

/// One problem: where it is, what is wrong, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `proxy.toml:12:5` (line and column, counted from 1, columns in characters),
    /// `environment: TIDEGATE_X`, or the path of a file, maybe with `:line`.
    pub place: String,
    /// A sentence on one line: what was found and what to write instead. Contains no secrets.
    pub message: String,
    /// Whether the problem is a file that does not exist.
    pub missing: bool,
}

impl Problem {
    /// A problem at `place`.
    pub fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into(), missing: false }
    }

    /// A problem in the file at `path`.
    pub fn at(path: &Path, message: impl ToString) -> Self {
        Self::new(path.display().to_string(), message.to_string())
    }

    /// The problem that no file exists at `path`.
    pub fn missing(path: &Path, message: impl ToString) -> Self {
        Self { missing: true, ..Self::at(path, message) }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// All problems found in one pass. Displays as one line per problem.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Returns the value of a step that succeeded, or records the problems of one that failed. For
    /// independent steps whose problems should be reported together.
    pub fn take<T>(&mut self, result: Result<T, impl Into<Problems>>) -> Option<T> {
        result.map_err(|found| self.0.extend(found.into().0)).ok()
    }

    /// The exit code, after sysexits: 66 if missing files are the only problems, else 78.
    pub fn exit_code(&self) -> u8 {
        if !self.0.is_empty() && self.0.iter().all(|problem| problem.missing) {
            FILE_MISSING
        } else {
            CONFIGURATION
        }
    }
}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Formats an error with its causes. Skips a cause that the text already contains.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string);
    causes.fold(
        error.to_string(),
        |text, cause| {
            if text.contains(&cause) { text } else { format!("{text}: {cause}") }
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_code_tells_missing_from_wrong() {
        let missing = Problem::missing(Path::new("proxy.toml"), "no such file");
        let wrong = Problem::new("proxy.toml:1:1", "wrong");
        assert_eq!(Problems(vec![missing.clone()]).exit_code(), 66);
        assert_eq!(Problems(vec![missing, wrong]).exit_code(), 78);
        assert_eq!(Problems(Vec::new()).exit_code(), 78);
    }

    #[test]
    fn displays_one_line_per_problem() {
        let problems = Problems(vec![Problem::new("a:1:2", "x"), Problem::new("a:3:4", "y")]);
        assert_eq!(problems.to_string(), "a:1:2: x\na:3:4: y");
    }
}
