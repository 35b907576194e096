//! The modules of a library, the names in each, and what a path leads to.

use std::collections::{BTreeMap, BTreeSet};

use super::source::Names;

/// Longest chain of imports that is followed. `use time::time` leads to itself, and ends here.
const LONGEST_CHAIN: usize = 8;

pub enum Binding {
    Item,
    Module,
    Import(Names),
}

#[derive(Default)]
pub struct Module {
    /// The path of the file that holds the module.
    pub file: String,
    pub names: BTreeMap<String, Vec<Binding>>,
    pub globs: Vec<Names>,
}

/// The end of a path: an item that `module` defines, or the module itself.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    pub module: Names,
    pub item: Option<String>,
}

impl Target {
    fn module(module: &[String]) -> Self {
        Self { module: module.to_vec(), item: None }
    }

    fn item(module: &[String], name: &str) -> Self {
        Self { module: module.to_vec(), item: Some(name.to_owned()) }
    }
}

#[derive(Default)]
pub struct Modules {
    pub by_name: BTreeMap<Names, Module>,
    /// The modules declared under `#[cfg(test)]`.
    pub tests: BTreeSet<Names>,
}

impl Modules {
    /// The file that holds a module. Nothing when no file was read for it.
    pub fn file(&self, module: &[String]) -> Option<&str> {
        self.by_name.get(module).map(|module| module.file.as_str())
    }

    /// Whether a module is compiled only for tests.
    pub fn is_test(&self, module: &[String]) -> bool {
        module.iter().any(|name| name == "tests")
            || (0..=module.len()).any(|end| self.tests.contains(&module[..end]))
    }

    /// Where `path` leads from the module `from`. Empty when it leaves the crate. More than one
    /// target when a name is both a module and an item.
    pub fn resolve(&self, from: &[String], path: &[String]) -> BTreeSet<Target> {
        self.follow(from, path, 0)
    }

    fn follow(&self, from: &[String], path: &[String], chain: usize) -> BTreeSet<Target> {
        if chain > LONGEST_CHAIN {
            return BTreeSet::new();
        }
        match path.first().map(String::as_str) {
            Some("crate") => self.descend(&[], &path[1..], chain),
            Some("self" | "super") => {
                let relative = path.iter().take_while(|name| matches!(name.as_str(), "self" | "super"));
                let up = relative.clone().filter(|name| *name == "super").count();
                self.descend(&from[..from.len().saturating_sub(up)], &path[relative.count()..], chain)
            }
            _ => self.named(from, path, chain).unwrap_or_default(),
        }
    }

    /// Where `path` leads within `module`. A name that is not found there, because a macro makes
    /// it, is an item of the module.
    fn descend(&self, module: &[String], path: &[String], chain: usize) -> BTreeSet<Target> {
        let Some(name) = path.first() else { return BTreeSet::from([Target::module(module)]) };
        let item = || BTreeSet::from([Target::item(module, name)]);
        self.named(module, path, chain).unwrap_or_else(item)
    }

    /// Where the first name of `path` leads, if it is in scope in `module`.
    fn named(&self, module: &[String], path: &[String], chain: usize) -> Option<BTreeSet<Target>> {
        let scope = self.by_name.get(module)?;
        let (name, rest) = path.split_first()?;
        let Some(bindings) = scope.names.get(name) else {
            return self.in_globs(module, path, chain);
        };
        let submodule = bindings.iter().any(|binding| matches!(binding, Binding::Module));
        let mut found = BTreeSet::new();
        for binding in bindings {
            match binding {
                Binding::Module => {
                    found.extend(self.descend(&[module, std::slice::from_ref(name)].concat(), rest, chain));
                }
                // Only a module has paths that lead further down when both exist.
                _ if submodule && !rest.is_empty() => {}
                Binding::Item => {
                    found.insert(Target::item(module, name));
                }
                Binding::Import(path) => {
                    found.extend(self.follow(module, &[path, rest].concat(), chain + 1));
                }
            }
        }
        Some(found)
    }

    fn in_globs(&self, module: &[String], path: &[String], chain: usize) -> Option<BTreeSet<Target>> {
        if chain > LONGEST_CHAIN {
            return None;
        }
        let globs = &self.by_name.get(module)?.globs;
        let targets = globs.iter().flat_map(|glob| self.follow(module, glob, chain + 1));
        let mut modules = targets.filter(|target| target.item.is_none());
        modules.find_map(|target| self.named(&target.module, path, chain + 1))
    }
}
