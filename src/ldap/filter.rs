//! Filters with `${user}` and `${dn}`: RFC 4515 as text, RFC 4511 section 4.5.1.7 as bytes.
//!
//! A filter is parsed once, as the operator wrote it. What stands for `${user}` is put into the
//! finished tree as a value, so no name can change what the filter asks.

use std::fmt;

use super::ber::{OCTETS, SEQUENCE, constructed, element};

const AND: u8 = 0xa0;
const OR: u8 = 0xa1;
const NOT: u8 = 0xa2;
const EQUAL: u8 = 0xa3;
const SUBSTRINGS: u8 = 0xa4;
const AT_LEAST: u8 = 0xa5;
const AT_MOST: u8 = 0xa6;
const PRESENT: u8 = 0x87;
const ALIKE: u8 = 0xa8;
const RULE: u8 = 0xa9;

/// Filters within filters.
const DEEPEST: usize = 16;

/// A filter that is equal to others of the same text. Displays as it was written.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    tree: Node,
}

#[derive(Clone, Debug)]
enum Node {
    /// [`AND`] or [`OR`].
    All(u8, Vec<Node>),
    Not(Box<Node>),
    /// An attribute is compared with a value: [`EQUAL`], [`AT_LEAST`], [`AT_MOST`] or [`ALIKE`].
    Compare(u8, String, Value),
    Present(String),
    /// At least two pieces; the first and the last may be empty.
    Substrings(String, Vec<Value>),
    /// `attribute:dn:rule:=value`
    Rule {
        attribute: String,
        with_dn: bool,
        rule: String,
        value: Value,
    },
}

type Value = Vec<Piece>;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Bytes(Vec<u8>),
    User,
    Dn,
}

/// What a filter is asked for.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// `None` means anybody.
    user: Option<&'a [u8]>,
    dn: &'a [u8],
}

impl Filter {
    /// # Errors
    /// What is wrong with the text, as a clause.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (tree, rest) = node(text, 0)?;
        if !rest.is_empty() {
            return Err(format!("{rest:?} follows the filter"));
        }
        Ok(Self { text: text.to_owned(), tree })
    }

    pub(crate) fn names_user(&self) -> bool {
        self.tree.has(&Piece::User)
    }

    pub(crate) fn names_dn(&self) -> bool {
        self.tree.has(&Piece::Dn)
    }

    /// The filter for this user and DN, as it goes into a search.
    pub(crate) fn of(&self, user: &str, dn: &str) -> Vec<u8> {
        self.tree.written(Asked { user: Some(user.as_bytes()), dn: dn.as_bytes() })
    }

    /// The filter for all of these DNs.
    pub(crate) fn of_any<'d>(&self, user: &str, dns: impl IntoIterator<Item = &'d str>) -> Vec<u8> {
        constructed(OR, dns.into_iter().map(|dn| self.of(user, dn)))
    }

    /// The filter for whichever user.
    pub(crate) fn of_anybody(&self) -> Vec<u8> {
        self.tree.written(Asked { user: None, dn: b"" })
    }

    /// Whatever has an attribute of this value.
    pub(crate) fn equal(attribute: &str, value: &str) -> Vec<u8> {
        comparison(EQUAL, attribute, value.as_bytes())
    }
}

/// Equal filters have equal texts.
impl PartialEq for Filter {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Filter {}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a text can name an attribute (RFC 4512, section 2.5): a word or an OID, and options.
pub(crate) fn is_attribute(text: &str) -> bool {
    let mut words = text.split(';');
    let kind = words.next().unwrap_or_default();
    let is_option = |word: &str| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    let is_name = kind.starts_with(|c: char| c.is_ascii_alphabetic()) && is_option(kind);
    let is_number = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    (is_name || kind.split('.').all(is_number)) && words.all(is_option)
}

impl Node {
    fn has(&self, piece: &Piece) -> bool {
        match self {
            Self::All(_, nodes) => nodes.iter().any(|node| node.has(piece)),
            Self::Not(node) => node.has(piece),
            Self::Compare(_, _, value) | Self::Rule { value, .. } => value.contains(piece),
            Self::Present(_) => false,
            Self::Substrings(_, values) => values.iter().any(|value| value.contains(piece)),
        }
    }

    fn written(&self, asked: Asked<'_>) -> Vec<u8> {
        let is_anybody = |value: &Value| asked.user.is_none() && value.contains(&Piece::User);
        match self {
            Self::All(tag, nodes) => constructed(*tag, nodes.iter().map(|node| node.written(asked))),
            Self::Not(node) => constructed(NOT, [node.written(asked)]),
            Self::Present(attribute) => present(attribute),
            Self::Compare(_, attribute, value) if is_anybody(value) => present(attribute),
            Self::Compare(tag, attribute, value) => comparison(*tag, attribute, &asked.filled(value)),
            Self::Substrings(attribute, values) if values.iter().any(is_anybody) => present(attribute),
            Self::Substrings(attribute, values) => {
                let last = values.len().saturating_sub(1);
                let pieces = values.iter().enumerate().filter(|(_, value)| !value.is_empty());
                let pieces = pieces.map(|(at, value)| {
                    let tag = if at == 0 { 0x80 } else { 0x81 + u8::from(at == last) };
                    element(tag, &asked.filled(value))
                });
                let attribute = element(OCTETS, attribute.as_bytes());
                constructed(SUBSTRINGS, [attribute, constructed(SEQUENCE, pieces)])
            }
            Self::Rule { attribute, with_dn, rule, value } => {
                let named = |tag, name: &String| {
                    Some(name).filter(|name| !name.is_empty()).map(|name| element(tag, name.as_bytes()))
                };
                let with_dn = with_dn.then(|| element(0x84, &[0xff]));
                let value = Some(element(0x83, &asked.filled(value)));
                let parts = [named(0x81, rule), named(0x82, attribute), value, with_dn];
                constructed(RULE, parts.into_iter().flatten())
            }
        }
    }
}

impl Asked<'_> {
    fn filled(&self, value: &[Piece]) -> Vec<u8> {
        let bytes = |piece| match piece {
            &Piece::User => self.user.unwrap_or_default(),
            Piece::Dn => self.dn,
            Piece::Bytes(bytes) => bytes,
        };
        value.iter().flat_map(bytes).copied().collect()
    }
}

fn comparison(tag: u8, attribute: &str, value: &[u8]) -> Vec<u8> {
    constructed(tag, [element(OCTETS, attribute.as_bytes()), element(OCTETS, value)])
}

fn present(attribute: &str) -> Vec<u8> {
    element(PRESENT, attribute.as_bytes())
}

/// The filter at the beginning of `text`, and what follows it.
fn node(text: &str, depth: usize) -> Result<(Node, &str), String> {
    if depth >= DEEPEST {
        return Err(format!("it holds filters within filters, more than {DEEPEST} deep"));
    }
    let Some(inner) = text.strip_prefix('(') else {
        return Err(if text.is_empty() { "it ends too early" } else { "a filter begins with (" }.into());
    };
    let (node, rest) = match inner.chars().next() {
        Some(sign @ ('&' | '|')) => {
            let (mut nodes, mut rest) = (Vec::new(), &inner[1..]);
            while rest.starts_with('(') {
                let (next, after) = self::node(rest, depth + 1)?;
                nodes.push(next);
                rest = after;
            }
            if nodes.is_empty() {
                return Err(format!("no filter follows {sign}"));
            }
            (Node::All(if sign == '&' { AND } else { OR }, nodes), rest)
        }
        Some('!') => {
            let (inner, rest) = self::node(&inner[1..], depth + 1)?;
            (Node::Not(Box::new(inner)), rest)
        }
        _ => {
            let end = inner.find(')').ok_or("a ) is missing")?;
            (item(&inner[..end])?, &inner[end..])
        }
    };
    let rest = rest.strip_prefix(')').ok_or("a ) is missing")?;
    Ok((node, rest))
}

/// `attribute=value` and its like.
fn item(text: &str) -> Result<Node, String> {
    if text.contains('(') {
        return Err(format!("{text:?} holds a (; a value writes it as \\28"));
    }
    let (left, right) = text.split_once('=').ok_or_else(|| format!("{text:?} holds no ="))?;
    if let Some(left) = left.strip_suffix(':') {
        return rule(left, right);
    }
    let signs = [('>', AT_LEAST), ('<', AT_MOST), ('~', ALIKE)];
    let sign = signs.into_iter().find(|(sign, _)| left.ends_with(*sign));
    let (attribute, tag) = sign.map_or((left, EQUAL), |(_, tag)| (&left[..left.len() - 1], tag));
    let attribute = attribute_name(attribute)?;
    let pieces: Vec<&str> = right.split('*').collect();
    match pieces.as_slice() {
        ["", ""] if tag == EQUAL => Ok(Node::Present(attribute)),
        [only] => Ok(Node::Compare(tag, attribute, value(only)?)),
        pieces if tag == EQUAL => {
            let pieces = pieces.iter().map(|piece| value(piece)).collect::<Result<Vec<_>, _>>()?;
            if pieces.iter().all(Vec::is_empty) {
                return Err(format!("{right:?} is nothing but *"));
            }
            Ok(Node::Substrings(attribute, pieces))
        }
        _ => Err(format!("{right:?} holds a *; a value writes it as \\2a")),
    }
}

fn rule(left: &str, right: &str) -> Result<Node, String> {
    let mut parts = left.split(':');
    let attribute = parts.next().unwrap_or_default();
    let mut parts = parts.peekable();
    let with_dn = parts.next_if(|part| part.eq_ignore_ascii_case("dn")).is_some();
    let rule = parts.next().unwrap_or_default();
    if parts.next().is_some() || (attribute.is_empty() && rule.is_empty()) {
        return Err(format!("{left:?} is not an attribute with a matching rule"));
    }
    let name = |text: &str| if text.is_empty() { Ok(String::new()) } else { attribute_name(text) };
    Ok(Node::Rule { attribute: name(attribute)?, with_dn, rule: name(rule)?, value: value(right)? })
}

fn attribute_name(text: &str) -> Result<String, String> {
    if is_attribute(text) { Ok(text.to_owned()) } else { Err(format!("{text:?} is not an attribute")) }
}

fn value(text: &str) -> Result<Value, String> {
    let (mut pieces, mut bytes, mut rest) = (Vec::new(), Vec::new(), text);
    while let Some(first) = rest.chars().next() {
        let named = [("${user}", Piece::User), ("${dn}", Piece::Dn)];
        if let Some((name, piece)) = named.into_iter().find(|(name, _)| rest.starts_with(name)) {
            if !bytes.is_empty() {
                pieces.push(Piece::Bytes(std::mem::take(&mut bytes)));
            }
            pieces.push(piece);
            rest = &rest[name.len()..];
        } else if rest.starts_with("${") {
            return Err("only ${user} and ${dn} can stand there".into());
        } else if first == '\\' {
            let digits = rest.get(1..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
            let byte = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
            bytes.push(byte.ok_or("two hexadecimal digits are missing behind a \\")?);
            rest = &rest[3..];
        } else {
            bytes.extend_from_slice(first.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[first.len_utf8()..];
        }
    }
    if !bytes.is_empty() {
        pieces.push(Piece::Bytes(bytes));
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests;
