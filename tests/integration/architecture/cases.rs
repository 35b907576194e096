//! What the rules find in small libraries, and what they let pass.

mod circles;
mod floors;
mod text;

use super::source::Source;

/// Files below `src`, by path.
type Files<'a> = &'a [(&'a str, &'a str)];

fn sources(files: Files<'_>) -> Vec<Source> {
    files.iter().map(|(path, text)| Source::new(&format!("src/{path}"), text)).collect()
}
