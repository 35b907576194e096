//! Prints values as proxy.toml writes them.

use std::fmt::Display;
use std::path::Path;

use super::keys::header;
use super::quote::toml_string;

/// The text of one section.
pub(super) struct Printed(String);

impl Printed {
    pub(super) fn section(name: &str) -> Self {
        Self(format!("{}\n", header(name)))
    }

    pub(super) fn key(mut self, name: &str, value: impl Display) -> Self {
        self.0.push_str(&format!("{name} = {value}\n"));
        self
    }

    pub(super) fn text(self) -> String {
        self.0
    }
}

pub(super) fn quoted(value: impl Display) -> String {
    toml_string(&value.to_string())
}

pub(super) fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}

/// A path, relative to `base` if it is below it.
pub(super) fn path(base: &Path, path: &Path) -> String {
    quoted(path.strip_prefix(base).unwrap_or(path).display())
}

/// A path, or `""` for none.
pub(super) fn optional_path(base: &Path, file: Option<&Path>) -> String {
    file.map_or_else(|| quoted(""), |file| path(base, file))
}
