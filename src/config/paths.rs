//! Reads paths, which are relative to the file that names them, and records which files have to
//! exist.

use std::path::{Path, PathBuf};

use super::complaint::Complaint;
use super::report::{Location, NamedFile};
use super::section::Section;

/// A path below `base`, unless it is absolute.
pub(super) fn path(text: &str, base: &Path) -> Result<PathBuf, Complaint> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.contains('\0') {
        return Err("a path cannot contain NUL".into());
    }
    Ok(base.join(text.trim_start_matches("./")))
}

impl Section<'_, '_> {
    /// A path of a file that need not exist.
    pub(super) fn path(
        &mut self,
        key: &str,
        default: impl Into<Option<&'static str>>,
        wanted: &str,
    ) -> Option<PathBuf> {
        let base = self.report.base().to_owned();
        self.text(key, default, wanted, |text| path(text, &base))
    }

    /// The same, where `""` names none.
    pub(super) fn path_or_none(
        &mut self,
        key: &str,
        default: &'static str,
        wanted: &str,
    ) -> Option<Option<PathBuf>> {
        let base = self.report.base().to_owned();
        self.text(key, default, wanted, |text| match text {
            "" => Ok(None),
            text => path(text, &base).map(Some),
        })
    }

    /// A file that has to exist if it is named. `""` names none.
    pub(super) fn optional_file(&mut self, key: &str, wanted: &str, remedy: &str) -> Option<Option<PathBuf>> {
        let location = self.location(key);
        let file = self.path_or_none(key, r#""""#, wanted)?;
        if let Some(path) = &file {
            self.needs_file(key, path, &location, remedy);
        }
        Some(file)
    }

    /// Records that the file at `path`, which `key` names at `location`, is appended to.
    pub(super) fn needs_output(&mut self, key: &str, path: &Path, location: &Location) {
        let file = NamedFile {
            key: self.full_name(key),
            path: path.to_owned(),
            location: location.clone(),
            remedy: String::new(),
        };
        self.report.outputs.push(file);
    }

    /// Records that the file at `path`, which `key` names at `location`, has to exist.
    pub(super) fn needs_file(&mut self, key: &str, path: &Path, location: &Location, remedy: &str) {
        let file = NamedFile {
            key: self.full_name(key),
            path: path.to_owned(),
            location: location.clone(),
            remedy: remedy.to_owned(),
        };
        self.report.files.push(file);
    }
}
