//! The paths and imports among tokens that only a macro or an attribute understands.

use proc_macro2::{Ident, Spacing, TokenStream, TokenTree};
use syn::ItemUse;

use super::source::Names;

pub enum Found {
    Path(Names, usize),
    Use(ItemUse),
}

/// All paths in `tokens`, a single name among them. A field, a lifetime, and what follows a
/// leading `::` are not paths of the crate.
pub fn paths(tokens: TokenStream) -> Vec<Found> {
    let mut found = Vec::new();
    collect(tokens, &mut found);
    found
}

fn collect(tokens: TokenStream, into: &mut Vec<Found>) {
    let tokens = Tokens(tokens.into_iter().collect());
    let mut at = 0;
    while let Some(token) = tokens.0.get(at) {
        let start = at;
        at += 1;
        match token {
            TokenTree::Group(group) => collect(group.stream(), into),
            TokenTree::Ident(first) if first == "use" => {
                at = tokens.after_semicolon(start);
                let declaration = tokens.0[start..at].iter().cloned().collect();
                into.extend(syn::parse2(declaration).ok().map(Found::Use));
            }
            TokenTree::Ident(first) => {
                let mut path = vec![first.to_string()];
                while let Some(next) = tokens.next_segment(at) {
                    path.push(next.to_string());
                    at += 3;
                }
                if tokens.can_begin_path(start) {
                    into.push(Found::Path(path, first.span().start().line));
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

struct Tokens(Vec<TokenTree>);

impl Tokens {
    fn is_punct(&self, at: usize, char: char) -> bool {
        matches!(self.0.get(at), Some(TokenTree::Punct(punct)) if punct.as_char() == char)
    }

    fn is_path_separator(&self, at: usize) -> bool {
        let joint =
            matches!(self.0.get(at), Some(TokenTree::Punct(punct)) if punct.spacing() == Spacing::Joint);
        joint && self.is_punct(at, ':') && self.is_punct(at + 1, ':')
    }

    fn next_segment(&self, at: usize) -> Option<&Ident> {
        match self.0.get(at + 2) {
            Some(TokenTree::Ident(next)) if self.is_path_separator(at) => Some(next),
            _ => None,
        }
    }

    fn can_begin_path(&self, at: usize) -> bool {
        let before = |back: usize, char: char| at >= back && self.is_punct(at - back, char);
        let field = before(1, '.') && !before(2, '.');
        let continued = at >= 2 && self.is_path_separator(at - 2);
        !field && !continued && !before(1, '\'')
    }

    fn after_semicolon(&self, from: usize) -> usize {
        (from..self.0.len()).find(|at| self.is_punct(*at, ';')).map_or(self.0.len(), |at| at + 1)
    }
}
