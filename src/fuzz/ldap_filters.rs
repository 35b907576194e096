//! A filter of the settings, and the name of a user that is put into it.
//!
//! Whatever the name is, it is one value: it changes the filter in no other place.

use super::pieces::lines;
use crate::ldap::Filter;

/// Checks one input.
pub(super) fn ldap_filters(bytes: &[u8]) {
    let [text, name] = lines(bytes);
    let (Ok(text), Ok(name)) = (str::from_utf8(text), str::from_utf8(name)) else { return };
    let Ok(filter) = Filter::parse(text) else { return };
    assert_eq!(filter.to_string(), text);
    let written = filter.of(name, "");
    assert!(!written.is_empty());
    if filter.names_user() {
        // A name of the same length is the only difference.
        let other: Vec<u8> = name.bytes().map(|_| b'x').collect();
        let other = filter.of(&String::from_utf8_lossy(&other), "");
        assert_eq!(written.len(), other.len());
        let differ = written.iter().zip(&other).filter(|(one, other)| one != other).count();
        let places = text.matches("${user}").count();
        assert!(differ <= name.len() * places);
    } else {
        assert_eq!(written, filter.of("another", ""));
    }
}
