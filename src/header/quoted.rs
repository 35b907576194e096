//! Text in a field value.

/// A quoted-string (RFC 9110 section 5.6.4). Characters that clients read differently, those other
/// than printable ASCII, are left out.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for char in text.chars().filter(|char| matches!(char, ' '..='~')) {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted + "\""
}
