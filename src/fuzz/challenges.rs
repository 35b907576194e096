//! `WWW-Authenticate` fields: one that a registry sent, and those that are written.
//!
//! The parameters of a field stand behind one another. Whatever text is put into a challenge, it is
//! read back as written, without what is not printable ASCII.

use super::pieces::{lines, texts};
use crate::header::challenge::{Bearer, BearerError, basic, parameters};

/// Checks one input.
pub(super) fn challenges(bytes: &[u8]) {
    let mut last = 0;
    for (name, value) in parameters(bytes) {
        assert!(last <= value.start && value.start <= value.end && value.end <= bytes.len());
        assert!(!name.contains(&b',') && !name.contains(&b' '), "{name:?}");
        last = value.end;
    }
    let [_, rest] = lines(bytes);
    let Some([realm, service, scope, description]) = texts(rest) else { return };
    let field = basic(realm).expect("any text fits");
    assert_eq!(read(field.as_bytes()), [("realm", printable(realm)), ("charset", "UTF-8".to_owned())]);
    let error = Some((BearerError::InvalidToken, description));
    let field = Bearer { realm, service, scope: Some(scope), error }.field().expect("any text fits");
    let written = [
        ("realm", printable(realm)),
        ("service", printable(service)),
        ("scope", printable(scope)),
        ("error", "invalid_token".to_owned()),
        ("error_description", printable(description)),
    ];
    assert_eq!(read(field.as_bytes()), written);
}

fn printable(text: &str) -> String {
    text.chars().filter(|char| matches!(char, ' '..='~')).collect()
}

/// The parameters with their escapes removed (RFC 9110 section 5.6.4).
fn read(field: &[u8]) -> Vec<(&str, String)> {
    let read = |(name, value): (_, std::ops::Range<usize>)| {
        let mut characters = field.get(value).unwrap_or_default().iter();
        let mut text = String::new();
        while let Some(character) = characters.next() {
            let character = if *character == b'\\' { characters.next() } else { Some(character) };
            text.extend(character.map(|byte| char::from(*byte)));
        }
        (str::from_utf8(name).unwrap_or_default(), text)
    };
    parameters(field).into_iter().map(read).collect()
}
