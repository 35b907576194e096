//! What git and docker leave out of the checkout.

use std::fs;
use std::path::Path;

use super::repository;
use crate::harness::tools;

/// The paths, relative to the checkout, that git would commit.
pub fn committable(paths: &[&str]) -> Vec<String> {
    // The checkout may be an unpacked archive, without a repository.
    let checkout = tempfile::tempdir().unwrap();
    let folder = checkout.path().to_str().unwrap();
    fs::copy(repository().join(".gitignore"), checkout.path().join(".gitignore")).unwrap();
    tools::succeed("git", &["-C", folder, "init", "--quiet"]);
    let arguments = ["-C", folder, "check-ignore", "--no-index"];
    let run = tools::run("git", &[&arguments, paths].concat());
    assert!(matches!(run.code, Some(0 | 1)), "{}", run.stderr);
    let ignored: Vec<&str> = run.stdout.lines().collect();
    paths.iter().filter(|path| !ignored.contains(path)).map(|path| (*path).to_owned()).collect()
}

/// The files below `folder` that hold a secret and that git would commit if the folder were the
/// checkout.
pub fn secrets(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
                continue;
            }
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            if text.contains("PRIVATE KEY") || text.contains("$2y$") {
                found.push(path.strip_prefix(folder).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    if found.is_empty() { Vec::new() } else { committable(&found) }
}
