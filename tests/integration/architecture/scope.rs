//! Attributes that limit code to tests, and variables that hide a name.

use std::collections::BTreeSet;

use syn::punctuated::Punctuated;
use syn::visit::{self, Visit};
use syn::{Attribute, Meta, Token};

/// Whether the attributes limit a node to tests: `cfg(test)`, or `cfg(all(…))` with `test` in it.
pub fn tests_only(attributes: &[Attribute]) -> bool {
    fn is_test(meta: &Meta) -> bool {
        let Meta::List(list) = meta else { return meta.path().is_ident("test") };
        let parts = list.parse_args_with(Punctuated::<Meta, Token![,]>::parse_terminated);
        list.path.is_ident("all") && parts.is_ok_and(|parts| parts.iter().any(is_test))
    }
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<Meta>().is_ok_and(|meta| is_test(&meta))
    })
}

/// The names that patterns bind.
#[derive(Default)]
pub struct Variables(BTreeSet<String>);

impl Variables {
    /// The variables of the node that `read` visits.
    pub fn of(read: impl FnOnce(&mut Self)) -> BTreeSet<String> {
        let mut variables = Self::default();
        read(&mut variables);
        variables.0
    }
}

impl<'ast> Visit<'ast> for Variables {
    fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
        self.0.insert(pattern.ident.to_string());
        visit::visit_pat_ident(self, pattern);
    }
}
