//! Relative links and anchors.

use std::path::{Component, Path, PathBuf};

use super::markdown::Page;

/// The links of `page` that lead nowhere; `pages` are all documents.
pub fn dead(page: &Page, pages: &[Page], repository: &Path) -> Vec<String> {
    let is_dead = |target: &str| -> Option<String> {
        if target.starts_with("https://") {
            return None;
        }
        let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
        let path = match path {
            "" => PathBuf::from(&page.name),
            path => plain(&Path::new(&page.name).parent().unwrap().join(path)),
        };
        if !repository.join(&path).exists() {
            return Some(format!("there is no {}", path.display()));
        }
        if anchor.is_empty() {
            return None;
        }
        let Some(other) = pages.iter().chain([page]).find(|other| Path::new(&other.name) == path) else {
            return Some(format!("{} is not one of the documents", path.display()));
        };
        let exists = other.anchors().contains(anchor);
        (!exists).then(|| format!("{} has no heading #{anchor}", other.name))
    };
    let links = page.links().into_iter();
    links
        .filter_map(|(line, target)| {
            is_dead(&target).map(|why| format!("{}:{line}: {target}: {why}", page.name))
        })
        .collect()
}

/// The path without `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => _ = plain.pop(),
            other => plain.push(other),
        }
    }
    plain
}
