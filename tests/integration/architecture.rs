//! The modules stand in dependency order in `src/lib.rs`, and each imports only from those above it.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// A reference to a module of the crate, found in the text of another.
struct Reference {
    line: usize,
    module: String,
}

/// The top-level modules of a library's text, in order.
fn modules(library: &str) -> Vec<String> {
    let declaration = Regex::new(r"(?m)^(?:pub(?:\(crate\))? )?mod ([a-z_]+);").unwrap();
    declaration.captures_iter(library).map(|found| found[1].to_owned()).collect()
}

/// All `crate::x` in a text, also those within `use crate::{x, y::z}`, comments aside.
fn references(text: &str) -> Vec<Reference> {
    let code: String = text
        .lines()
        .map(|line| if line.trim_start().starts_with("//") { "\n".to_owned() } else { format!("{line}\n") })
        .collect();
    let mut found = Vec::new();
    let path = Regex::new(r"\bcrate::\s*(\{|[a-z_]+)").unwrap();
    for capture in path.captures_iter(&code) {
        let (start, end) = (capture.get(1).unwrap().start(), capture.get(1).unwrap().end());
        if &capture[1] == "{" {
            for (offset, module) in group(&code[end..]) {
                found.push(Reference { line: line_of(&code, end + offset), module });
            }
        } else {
            found.push(Reference { line: line_of(&code, start), module: capture[1].to_owned() });
        }
    }
    found
}

/// The first names of the branches of a `{…}` group, whose opening brace has been read.
fn group(text: &str) -> Vec<(usize, String)> {
    let mut names = Vec::new();
    let (mut depth, mut expecting) = (1, true);
    for (offset, char) in text.char_indices() {
        match char {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expecting = true,
            char if expecting && !char.is_whitespace() => {
                let name =
                    text[offset..].split(|char: char| !char.is_ascii_lowercase() && char != '_').next();
                names.push((offset, name.unwrap_or_default().to_owned()));
                expecting = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn line_of(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// The references in one file of module `own` that point down in `order`.
fn pointing_down(order: &[String], own: &str, text: &str) -> Vec<Reference> {
    let place = |module: &str| order.iter().position(|name| name == module);
    let own_place = place(own);
    let down = |reference: &Reference| match (place(&reference.module), own_place) {
        (Some(other), Some(own)) => other > own,
        _ => false,
    };
    references(text).into_iter().filter(down).collect()
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn no_module_imports_from_one_below_it() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = modules(&fs::read_to_string(source.join("lib.rs")).unwrap());
    assert!(order.len() > 10, "the list in src/lib.rs was read: {order:?}");
    let mut files = Vec::new();
    rust_files(&source, &mut files);
    let mut faults = Vec::new();
    for file in files {
        let inside = file.strip_prefix(&source).unwrap();
        let own = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if own == "lib" || own == "main" {
            continue;
        }
        assert!(order.contains(&own), "src/{} is in no module of src/lib.rs", inside.display());
        for reference in pointing_down(&order, &own, &fs::read_to_string(&file).unwrap()) {
            faults.push(format!(
                "src/{}:{}: {own} imports from {}, which stands below it",
                inside.display(),
                reference.line,
                reference.module
            ));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn an_import_that_points_down_is_found_however_it_is_written() {
    let order = modules("//! crate::c\npub mod a;\n// 2\npub mod b;\nmod c;\n");
    assert_eq!(order, ["a", "b", "c"]);
    let down = |text: &str| {
        let found = pointing_down(&order, "b", text);
        found.into_iter().map(|reference| (reference.line, reference.module)).collect::<Vec<_>>()
    };
    assert_eq!(down("use crate::a::x;\nuse crate::b::y;\n"), []);
    assert_eq!(down("use crate::c::x;\n"), [(1, "c".to_owned())]);
    assert_eq!(down("\nuse crate::{\n    a::{x, y},\n    c::z,\n};\n"), [(4, "c".to_owned())]);
    assert_eq!(down("fn f() { crate::c::g() }"), [(1, "c".to_owned())]);
    assert_eq!(down("pub(in crate::c) fn f() {}"), [(1, "c".to_owned())]);
    assert_eq!(down("/// like [`crate::c::g`]\nfn f() {}"), []);
}

#[test]
fn no_file_is_longer_than_five_hundred_lines() {
    let mut files = Vec::new();
    rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    for file in files {
        let lines = fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 500, "{} has {lines} lines", file.display());
    }
}
