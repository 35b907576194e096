//! Rules for single files: their length, their comments, and one way to write a condition.

use std::collections::BTreeSet;

use proc_macro2::{Literal, TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{ExprMatch, Lit, Pat};

use super::source::Source;

const LINES: usize = 500;
const COLUMNS: usize = 100;

pub fn long_file(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    (lines > LINES).then(|| format!("{} has {lines} lines, more than {LINES}", source.path))
}

/// The lines that hold only a comment and are too long. A line of a string literal is not a
/// comment, whatever it begins with.
pub fn long_comments(source: &Source) -> Vec<String> {
    let tokens = source.text.parse().unwrap_or_default();
    let mut quoted = BTreeSet::new();
    quoted_lines(tokens, &mut quoted);
    let numbered = source.text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let long = numbered.filter(|(number, line)| {
        line.trim_start().starts_with("//") && line.chars().count() > COLUMNS && !quoted.contains(number)
    });
    long.map(|(number, line)| {
        let columns = line.chars().count();
        format!("{}:{number}: the comment has {columns} columns, more than {COLUMNS}", source.path)
    })
    .collect()
}

/// The lines that begin within a literal.
fn quoted_lines(tokens: TokenStream, into: &mut BTreeSet<usize>) {
    for token in tokens {
        match token {
            TokenTree::Group(group) => quoted_lines(group.stream(), into),
            TokenTree::Literal(literal) => into.extend(lines_after_first(&literal)),
            _ => {}
        }
    }
}

fn lines_after_first(literal: &Literal) -> std::ops::RangeInclusive<usize> {
    literal.span().start().line + 1..=literal.span().end().line
}

/// Each `match` with an arm for `true` or `false`: an `if` is shorter.
pub fn matches_on_bools(source: &Source) -> Vec<String> {
    let mut matches = MatchesOnBools(Vec::new());
    matches.visit_file(&source.syntax);
    let fault = |line| format!("{}:{line}: write this match on a bool as an if", source.path);
    matches.0.into_iter().map(fault).collect()
}

struct MatchesOnBools(Vec<usize>);

impl<'ast> Visit<'ast> for MatchesOnBools {
    fn visit_expr_match(&mut self, node: &'ast ExprMatch) {
        if node.arms.iter().any(|arm| is_bool(&arm.pat)) {
            self.0.push(node.span().start().line);
        }
        visit::visit_expr_match(self, node);
    }
}

fn is_bool(pattern: &Pat) -> bool {
    match pattern {
        Pat::Guard(guarded) => is_bool(&guarded.pat),
        Pat::Lit(literal) => matches!(literal.lit, Lit::Bool(_)),
        _ => false,
    }
}
