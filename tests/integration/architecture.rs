//! Which file may need which, and how long files and comments may be.
//!
//! The modules stand in dependency order in `src/lib.rs`, and each needs only those above it.
//! No two files need each other, directly or by way of others.

mod cases;
mod circles;
mod floors;
mod imports;
mod library;
mod modules;
mod reading;
mod scope;
mod source;
mod text;
mod tokens;

use std::path::Path;

use self::library::Library;
use self::source::Source;

fn read(folders: &[&str]) -> Vec<Source> {
    let sources = source::read(Path::new(env!("CARGO_MANIFEST_DIR")), folders);
    assert!(sources.len() > 100, "only {} files were read", sources.len());
    sources
}

#[track_caller]
fn assert_none(faults: &[String]) {
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn no_module_needs_one_below_it() {
    let sources = read(&["src"]);
    let library = Library::read(&sources);
    let floors = floors::floors(&sources);
    assert!(floors.len() > 10, "the list in src/lib.rs was read: {floors:?}");
    assert_none(&floors::undeclared(&sources, &library));
    assert_none(&floors::pointing_down(&floors, &library));
}

#[test]
fn no_files_need_each_other() {
    let library = Library::read(&read(&["src"]));
    assert!(library.references.len() > 1000, "only {} paths were read", library.references.len());
    let circles = circles::circles(&library);
    assert_none(&circles.iter().map(ToString::to_string).collect::<Vec<_>>());
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    assert_none(&read(&["src"]).iter().filter_map(text::long_file).collect::<Vec<_>>());
}

#[test]
fn no_comment_is_wider_than_a_hundred_columns() {
    let sources = read(&["src", "tests", "benches"]);
    assert_none(&sources.iter().flat_map(text::long_comments).collect::<Vec<_>>());
}

#[test]
fn no_match_is_on_a_bool() {
    let sources = read(&["src", "tests", "benches"]);
    assert_none(&sources.iter().flat_map(text::matches_on_bools).collect::<Vec<_>>());
}
