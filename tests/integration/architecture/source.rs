//! The Rust files that the rules read.

use std::fs;
use std::path::Path;

/// The names of a module from the root of the crate, or the segments of a path.
pub type Names = Vec<String>;

/// A file, by its path from the root of the repository, such as `src/gate/mod.rs`.
pub struct Source {
    pub path: String,
    pub text: String,
    pub syntax: syn::File,
}

impl Source {
    /// # Panics
    ///
    /// Panics when the text is not Rust.
    pub fn new(path: &str, text: &str) -> Self {
        let syntax = syn::parse_file(text).unwrap_or_else(|error| panic!("{path}: {error}"));
        Self { path: path.to_owned(), text: text.to_owned(), syntax }
    }

    /// The module of the library that the file holds; the root is empty. Nothing for other crates.
    pub fn module(&self) -> Option<Names> {
        let inside = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        if inside == "main" {
            return None;
        }
        let inside = inside.strip_suffix("/mod").unwrap_or(inside);
        Some(inside.split('/').filter(|name| *name != "lib").map(str::to_owned).collect())
    }
}

/// All Rust files below `root` in `folders`, in alphabetical order.
pub fn read(root: &Path, folders: &[&str]) -> Vec<Source> {
    let mut paths = Vec::new();
    for folder in folders {
        collect(root, folder, &mut paths);
    }
    paths.sort();
    let text = |path: &String| fs::read_to_string(root.join(path)).unwrap();
    paths.iter().map(|path| Source::new(path, &text(path))).collect()
}

fn collect(root: &Path, folder: &str, into: &mut Vec<String>) {
    for entry in fs::read_dir(root.join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            collect(root, &path, into);
        } else if Path::new(&path).extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}
