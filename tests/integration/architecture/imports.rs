//! The single imports that one `use` declaration holds.

use proc_macro2::Ident;
use syn::{ItemUse, UseTree};

use super::source::Names;

pub struct Import {
    pub path: Names,
    /// The name that the import binds. A glob binds none.
    pub name: Option<String>,
    pub line: usize,
}

/// The imports of `declaration`. A path that begins with `::` leads out of the crate, and is left
/// out.
pub fn imports(declaration: &ItemUse) -> Vec<Import> {
    let mut found = Vec::new();
    if declaration.leading_colon.is_none() {
        flatten(&[], &declaration.tree, &mut found);
    }
    found
}

fn flatten(prefix: &[String], tree: &UseTree, into: &mut Vec<Import>) {
    let longer = |ident: &Ident| match ident.to_string() {
        // `a::{self}` is `a`, but `self::a` and a lone `self` begin in the module itself.
        name if name == "self" && !prefix.is_empty() => prefix.to_vec(),
        name => [prefix, &[name]].concat(),
    };
    match tree {
        UseTree::Path(path) => flatten(&longer(&path.ident), &path.tree, into),
        UseTree::Name(name) => {
            let path = longer(&name.ident);
            let bound = path.last().cloned();
            into.push(Import { path, name: bound, line: line(&name.ident) });
        }
        UseTree::Rename(name) => {
            let bound = Some(name.rename.to_string());
            into.push(Import { path: longer(&name.ident), name: bound, line: line(&name.ident) });
        }
        UseTree::Glob(glob) => {
            let line = glob.star_token.spans[0].start().line;
            into.push(Import { path: prefix.to_vec(), name: None, line });
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(prefix, tree, into)),
    }
}

fn line(ident: &Ident) -> usize {
    ident.span().start().line
}
