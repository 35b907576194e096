//! Files that need each other, directly or by way of others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;

use super::library::{Kind, Library};

/// What one file needs of another, and the lines that say so.
#[derive(Default)]
struct Need {
    names: BTreeSet<String>,
    lines: BTreeSet<usize>,
}

/// What each file needs of each other file.
type Needs = BTreeMap<String, BTreeMap<String, Need>>;

/// Files each of which needs all others, directly or by way of others.
pub struct Circle {
    /// The shortest way from one of the files back to itself.
    pub shortest: Vec<String>,
    /// How the files need each other.
    pub needs: Vec<String>,
}

impl fmt::Display for Circle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "circle: {}", self.shortest.join(" -> "))?;
        self.needs.iter().try_for_each(|need| writeln!(f, "  {need}"))
    }
}

/// The circles among the files of a library. Code for tests does not count.
pub fn circles(library: &Library) -> Vec<Circle> {
    let needs = needs(library);
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        needs.keys().map(|file| (file.as_str(), reached_from(file, &needs))).collect();
    let reaches = |from: &str, to: &str| reached.get(from).is_some_and(|files| files.contains(to));
    let mut circles = Vec::new();
    let mut open: BTreeSet<&str> = reached.keys().copied().filter(|file| reaches(file, file)).collect();
    while let Some(first) = open.first().copied() {
        let members = open.iter().copied().filter(|file| reaches(first, file) && reaches(file, first));
        let members: BTreeSet<&str> = members.collect();
        open.retain(|file| !members.contains(file));
        circles.push(circle(&members, &needs));
    }
    circles
}

fn circle(members: &BTreeSet<&str>, needs: &Needs) -> Circle {
    let ways_back = members.iter().filter_map(|file| way_back(file, needs));
    let mut within = Vec::new();
    for from in members {
        for (to, need) in needs[*from].iter().filter(|(to, _)| members.contains(to.as_str())) {
            let lines: Vec<String> = need.lines.iter().map(usize::to_string).collect();
            let names: Vec<&str> = need.names.iter().map(String::as_str).collect();
            within.push(format!("{from}:{} needs {to} for {}", lines.join(","), names.join(", ")));
        }
    }
    Circle { shortest: ways_back.min_by_key(Vec::len).unwrap_or_default(), needs: within }
}

fn reached_from<'a>(file: &'a str, needs: &'a Needs) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        let next = needs.get(file).into_iter().flat_map(BTreeMap::keys).map(String::as_str);
        open.extend(next.filter(|to| reached.insert(*to)));
    }
    reached
}

/// The shortest way from a file to itself, each step with the first line that takes it.
fn way_back(file: &str, needs: &Needs) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut open = VecDeque::from([(file, Vec::new())]);
    while let Some((at, way)) = open.pop_front() {
        for (to, need) in needs.get(at).into_iter().flatten() {
            let line = need.lines.first().copied().unwrap_or_default();
            let mut way: Vec<String> = [way.as_slice(), &[format!("{at}:{line}")]].concat();
            if to == file {
                way.push(file.to_owned());
                return Some(way);
            }
            if seen.insert(to) {
                open.push_back((to, way));
            }
        }
    }
    None
}

/// The import of a module needs the file of that module, unless the importer is part of it. A
/// `pub use` of an item from a submodule needs nothing, because it only publishes the item.
fn needs(library: &Library) -> Needs {
    let modules = &library.modules;
    let mut needs = Needs::new();
    for reference in library.references.iter().filter(|reference| !reference.test) {
        for target in modules.resolve(&reference.module, &reference.path) {
            let Some(to) = modules.file(&target.module) else { continue };
            let within = reference.module.starts_with(&target.module);
            let only_named = target.item.is_none() && (within || reference.kind == Kind::Mention);
            let door = reference.kind == Kind::Reexport && target.module.starts_with(&reference.module);
            if to == reference.file || only_named || door || modules.is_test(&target.module) {
                continue;
            }
            let of_file = needs.entry(reference.file.clone()).or_default();
            let need = of_file.entry(to.to_owned()).or_default();
            need.lines.insert(reference.line);
            need.names.insert(target.item.unwrap_or_else(|| target.module.join("::")));
        }
    }
    needs
}
