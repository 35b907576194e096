//! Prints the settings as proxy.toml writes them, and records how a change of each key takes
//! effect.

use std::fmt::{Display, Write as _};
use std::path::{Path, PathBuf};

use super::keys::header;
use super::quote::toml_string;

/// The printed settings. Each key is printed by the method that says how a change of it takes
/// effect.
pub(super) struct Printer<'b> {
    /// Paths below this folder are printed relative to it.
    pub(super) base: &'b Path,
    section: &'static str,
    pub(super) text: String,
    /// The files whose changes need a reload.
    pub(super) watched: Vec<PathBuf>,
    /// The keys that take effect only at the next start, each with its section and its value.
    pub(super) fixed: Vec<(String, String)>,
}

impl<'b> Printer<'b> {
    pub(super) fn new(base: &'b Path) -> Self {
        Self { base, section: "", text: String::new(), watched: Vec::new(), fixed: Vec::new() }
    }

    pub(super) fn section(&mut self, name: &'static str) {
        let blank_line = if self.text.is_empty() { "" } else { "\n" };
        _ = writeln!(self.text, "{blank_line}{}", header(name));
        self.section = name;
    }

    /// A key that takes effect at a reload. Files that it names are opened whenever they are used.
    pub(super) fn reloaded(&mut self, name: &str, value: impl Display) {
        _ = writeln!(self.text, "{name} = {value}");
    }

    /// A key that takes effect only at the next start.
    pub(super) fn fixed(&mut self, name: &str, value: impl Display) {
        let value = value.to_string();
        self.reloaded(name, &value);
        self.fixed.push((format!("{}.{name}", self.section), value));
    }

    /// A key that takes effect at a reload, as does a change of the file that it names.
    pub(super) fn watched(&mut self, name: &str, file: Option<&Path>) {
        self.reloaded(name, self.optional_path(file));
        self.watched.extend(file.map(Path::to_owned));
    }

    /// A path, relative to the base if it is below it.
    pub(super) fn path(&self, path: &Path) -> String {
        quoted(path.strip_prefix(self.base).unwrap_or(path).display())
    }

    /// A path, or `""` for none.
    pub(super) fn optional_path(&self, file: Option<&Path>) -> String {
        file.map_or_else(|| quoted(""), |file| self.path(file))
    }
}

pub(super) fn quoted(value: impl Display) -> String {
    toml_string(&value.to_string())
}

pub(super) fn list(values: impl Iterator<Item = String>) -> String {
    format!("[{}]", values.collect::<Vec<_>>().join(", "))
}
