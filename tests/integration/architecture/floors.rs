//! The order of the modules in `src/lib.rs`: each needs only those above it.

use syn::Item;

use super::library::Library;
use super::source::Source;

/// The modules that the root declares, from the top down.
pub fn floors(sources: &[Source]) -> Vec<String> {
    let root = sources.iter().filter(|source| source.module().is_some_and(|module| module.is_empty()));
    let items = root.flat_map(|source| &source.syntax.items);
    let declared = items.filter_map(|item| match item {
        Item::Mod(module) => Some(module.ident.to_string()),
        _ => None,
    });
    declared.collect()
}

/// The paths, in tests too, that lead from a module to one below it.
pub fn pointing_down(floors: &[String], library: &Library) -> Vec<String> {
    let floor = |module: &[String]| floors.iter().position(|name| Some(name) == module.first());
    let mut faults = Vec::new();
    for reference in &library.references {
        let targets = library.modules.resolve(&reference.module, &reference.path);
        for target in targets.iter().filter(|target| !target.module.is_empty()) {
            let (own, other) = (floor(&reference.module), floor(&target.module));
            if own.is_some_and(|own| other.is_some_and(|other| other > own)) {
                faults.push(format!(
                    "{}:{}: {} needs {}, which stands below {} in src/lib.rs",
                    reference.file,
                    reference.line,
                    reference.path.join("::"),
                    target.module[0],
                    reference.module[0],
                ));
            }
        }
    }
    faults
}

/// The files of the library that no module declares.
pub fn undeclared(sources: &[Source], library: &Library) -> Vec<String> {
    let declared = |source: &&Source| match source.module().as_deref() {
        Some([above @ .., name]) => {
            let module = library.modules.by_name.get(above);
            module.is_some_and(|module| module.names.contains_key(name))
        }
        _ => true,
    };
    let strays = sources.iter().filter(|source| !declared(source));
    strays.map(|source| format!("{} is declared by no module", source.path)).collect()
}
