//! Reads from the files of a library which modules they declare and which paths they name.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use syn::visit::{self, Visit};
use syn::{Attribute, Item, Meta, Visibility};

use super::imports::{Import, imports};
use super::library::{Kind, Library, Reference};
use super::modules::Binding;
use super::scope::{Variables, tests_only};
use super::source::{Names, Source};
use super::tokens::{Found, paths};

impl Library {
    /// Reads the files that belong to the library, and passes over those of other crates.
    pub fn read(sources: &[Source]) -> Self {
        let mut library = Self::default();
        for source in sources {
            let Some(module) = source.module() else { continue };
            let mut reader = Reader {
                library: &mut library,
                file: &source.path,
                module,
                test: tests_only(&source.syntax.attrs),
                blocks: Vec::new(),
                variables: Vec::new(),
            };
            reader.read_module(&source.syntax.items);
        }
        // A file can be read before the one that declares it for tests only.
        let modules = &library.modules;
        library.references.iter_mut().for_each(|reference| {
            reference.test |= modules.is_test(&reference.module);
        });
        library
    }
}

struct Reader<'a> {
    library: &'a mut Library,
    file: &'a str,
    module: Names,
    test: bool,
    /// The imports of the blocks around the place that is being read, the innermost last.
    blocks: Vec<Vec<Import>>,
    /// The variables of the functions around it.
    variables: Vec<BTreeSet<String>>,
}

impl Reader<'_> {
    fn read_module(&mut self, items: &[Item]) {
        let (name, file) = (self.module.clone(), self.file.to_owned());
        self.library.modules.by_name.entry(name).or_default().file = file;
        for item in items {
            if let Some(name) = item_name(item) {
                self.bind(name, Binding::Item);
            }
            self.visit_item(item);
        }
    }

    fn bind(&mut self, name: String, binding: Binding) {
        let module = self.library.modules.by_name.entry(self.module.clone()).or_default();
        module.names.entry(name).or_default().push(binding);
    }

    /// Reads a node that can be limited to tests.
    fn gated(&mut self, attributes: &[Attribute], read: impl FnOnce(&mut Self)) {
        let outside = self.test;
        self.test |= tests_only(attributes);
        read(self);
        self.test = outside;
    }

    fn found(&mut self, path: Names, line: usize, kind: Kind) {
        let (file, module, test) = (self.file.to_owned(), self.module.clone(), self.test);
        self.library.references.push(Reference { file, module, path, line, kind, test });
    }

    /// Records a path outside of `use`. A name that an import of a surrounding block binds is
    /// replaced by the imported path, and the name of a variable is not a path.
    fn mentioned(&mut self, path: Names, line: usize) {
        let [first, rest @ ..] = path.as_slice() else { return };
        if rest.is_empty() && self.variables.iter().any(|names| names.contains(first)) {
            return;
        }
        let mut local = self.blocks.iter().rev().flatten();
        let path = match local.find(|import| import.name.as_ref() == Some(first)) {
            Some(import) => [&import.path, rest].concat(),
            None => path,
        };
        self.found(path, line, Kind::Mention);
    }

    fn read_use(&mut self, declaration: &syn::ItemUse) {
        let kind = match declaration.vis {
            Visibility::Inherited => Kind::Import,
            _ => Kind::Reexport,
        };
        for import in imports(declaration) {
            match import.name {
                None => {
                    let module = self.library.modules.by_name.entry(self.module.clone()).or_default();
                    module.globs.push(import.path.clone());
                }
                Some(name) if self.blocks.is_empty() => {
                    self.bind(name, Binding::Import(import.path.clone()));
                }
                Some(_) => {}
            }
            self.found(import.path, import.line, kind);
        }
    }

    fn read_tokens(&mut self, tokens: TokenStream) {
        for found in paths(tokens) {
            match found {
                Found::Path(path, line) => self.mentioned(path, line),
                Found::Use(declaration) => self.read_use(&declaration),
            }
        }
    }

    fn in_function(&mut self, variables: BTreeSet<String>, read: impl FnOnce(&mut Self)) {
        self.variables.push(variables);
        read(self);
        self.variables.pop();
    }
}

/// The name that an item other than an import or a module gives to its module.
fn item_name(item: &Item) -> Option<String> {
    let ident = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(ident.to_string())
}

/// Reads nodes of these kinds only as far as their `cfg` attributes allow.
macro_rules! gated {
    ($($visit:ident: $node:ident),* $(,)?) => {
        $(fn $visit(&mut self, node: &'ast syn::$node) {
            self.gated(&node.attrs, |reader| visit::$visit(reader, node));
        })*
    };
}

impl<'ast> Visit<'ast> for Reader<'_> {
    gated! {
        visit_arm: Arm,
        visit_expr_block: ExprBlock,
        visit_field: Field,
        visit_field_value: FieldValue,
        visit_impl_item_const: ImplItemConst,
        visit_impl_item_type: ImplItemType,
        visit_item_const: ItemConst,
        visit_item_enum: ItemEnum,
        visit_item_impl: ItemImpl,
        visit_item_macro: ItemMacro,
        visit_item_static: ItemStatic,
        visit_item_struct: ItemStruct,
        visit_item_trait: ItemTrait,
        visit_item_type: ItemType,
        visit_local: Local,
        visit_variant: Variant,
    }

    fn visit_item_fn(&mut self, node: &'ast syn::ItemFn) {
        let variables = Variables::of(|variables| variables.visit_item_fn(node));
        self.gated(&node.attrs, |reader| {
            reader.in_function(variables, |reader| visit::visit_item_fn(reader, node));
        });
    }

    fn visit_impl_item_fn(&mut self, node: &'ast syn::ImplItemFn) {
        let variables = Variables::of(|variables| variables.visit_impl_item_fn(node));
        self.gated(&node.attrs, |reader| {
            reader.in_function(variables, |reader| visit::visit_impl_item_fn(reader, node));
        });
    }

    fn visit_item_mod(&mut self, node: &'ast syn::ItemMod) {
        let name = node.ident.to_string();
        self.bind(name.clone(), Binding::Module);
        self.gated(&node.attrs, |reader| {
            reader.module.push(name);
            if reader.test {
                reader.library.modules.tests.insert(reader.module.clone());
            }
            if let Some((_, items)) = &node.content {
                reader.read_module(items);
            }
            reader.module.pop();
        });
    }

    fn visit_item_use(&mut self, node: &'ast syn::ItemUse) {
        self.gated(&node.attrs, |reader| reader.read_use(node));
    }

    fn visit_block(&mut self, node: &'ast syn::Block) {
        let declarations = node.stmts.iter().filter_map(|statement| match statement {
            syn::Stmt::Item(Item::Use(declaration)) => Some(declaration),
            _ => None,
        });
        self.blocks.push(declarations.flat_map(imports).collect());
        visit::visit_block(self, node);
        self.blocks.pop();
    }

    fn visit_path(&mut self, node: &'ast syn::Path) {
        if node.leading_colon.is_none() {
            let path: Names = node.segments.iter().map(|segment| segment.ident.to_string()).collect();
            let line = node.segments.first().map_or(0, |first| first.ident.span().start().line);
            self.mentioned(path, line);
        }
        visit::visit_path(self, node);
    }

    fn visit_macro(&mut self, node: &'ast syn::Macro) {
        self.visit_path(&node.path);
        self.read_tokens(node.tokens.clone());
    }

    fn visit_attribute(&mut self, node: &'ast Attribute) {
        if let Meta::List(list) = &node.meta {
            self.read_tokens(list.tokens.clone());
        }
    }
}
