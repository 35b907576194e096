//! The modules of a library, and the paths that its files name.

use super::modules::Modules;
use super::source::Names;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Import,
    Reexport,
    /// In an expression, a type, a pattern, a macro, an attribute or a visibility.
    Mention,
}

/// A path that a file names.
pub struct Reference {
    pub file: String,
    /// The module that the path is read from.
    pub module: Names,
    pub path: Names,
    pub line: usize,
    pub kind: Kind,
    /// Whether it is compiled only for tests.
    pub test: bool,
}

#[derive(Default)]
pub struct Library {
    pub modules: Modules,
    pub references: Vec<Reference>,
}
